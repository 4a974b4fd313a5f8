"""Which identity a user has now, without a trip to the database for each who asks."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from service.clock import Clock
from service.grants.gathering import Gathering
from service.grants.lru import Recent
from service.grants.ports import IdentityHistory

BELIEVED = timedelta(minutes=1)
_MOST = 50_000


class Identities:
    """Of one pool. What was found is believed for a minute: an identity changes by a merge at
    Cognito only, and what another replica notes of one is an alarm, not a rule. That a user has
    none is never believed. Questions that come together share a trip. All raise UnavailableError.
    """

    def __init__(self, history: IdentityHistory, pool_id: str, clock: Clock) -> None:
        self._history = history
        self._pool_id = pool_id
        self._clock = clock
        self._known: Recent[tuple[str, datetime]] = Recent(_MOST)
        self._reading: Gathering[str] = Gathering(self._read)
        self._noting: Gathering[bool] = Gathering(self._note_new)
        self._to_note: dict[str, str] = {}

    async def current(self, user_id: str) -> str | None:
        known = self._believed(user_id)
        if known is not None:
            return known
        found = await self._reading.of(user_id)
        if found is not None:
            self._remember(user_id, found)
        return found

    async def note(self, user_id: str, identity_id: str) -> str | None:
        """The identity that this one replaced, if any. Raises IdentityConflictError."""
        if self._believed(user_id) == identity_id:
            return None
        self._to_note[user_id] = identity_id
        replaced = None
        if not await self._noting.of(user_id):
            replaced = await self._history.note(self._pool_id, user_id, identity_id)
        self._remember(user_id, identity_id)
        return replaced

    async def owner(self, identity_id: str) -> str | None:
        return await self._history.owner(self._pool_id, identity_id)

    def _believed(self, user_id: str) -> str | None:
        known = self._known.get(user_id)
        return known[0] if known is not None and self._clock() < known[1] else None

    def _remember(self, user_id: str, identity_id: str) -> None:
        self._known.put(user_id, (identity_id, self._clock() + BELIEVED))

    async def _read(self, user_ids: Collection[str]) -> Mapping[str, str]:
        return await self._history.current_of_many(self._pool_id, user_ids)

    async def _note_new(self, user_ids: Collection[str]) -> Mapping[str, bool]:
        identities = {user_id: self._to_note.pop(user_id) for user_id in user_ids}
        noted = await self._history.note_new(self._pool_id, identities)
        return dict.fromkeys(noted, True)
