"""OpenID tokens: kept while they are good, and asked for once, however many want the same one."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from errors import (
    CognitoThrottledError,
    CognitoUnavailableError,
    IdentityConflictError,
    UploadgateError,
)
from service.clock import Clock, steady_now
from service.grants.asking import Asking
from service.grants.lru import Recent
from service.grants.model import KeptToken
from service.grants.tally import Tally

_log = structlog.get_logger("uploadgate.grants")
CONFLICT_TOLD_FOR = timedelta(minutes=1)
_MOST_CONFLICTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """`caller_seconds`: the longest that one caller waits for a token; `trouble_seconds`: the same
    for who has another way, while Cognito is known to be down: enough for another replica's token.
    `early`: so long before a token is to be replaced it is replaced in the background, if it is
    asked for. `least`: a token that ends sooner is given to nobody, whatever the trouble.
    """

    caller_seconds: float
    early: timedelta
    trouble_seconds: float = 0.25
    least: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Flight:
    task: asyncio.Task[KeptToken]
    background: bool


def _tell_of_kept_on(code: str, count: int) -> None:
    _log.warning("grant.kept_on", code=code, count=count)


class Tokens:
    """One flight a user at a time: whoever comes meanwhile waits for the same one. A flight goes on
    when its callers have stopped waiting: what it brings is for when they ask again.
    """

    def __init__(
        self,
        asking: Asking,
        *,
        waits: Waits,
        most_kept: int,
        clock: Clock,
        steady: Clock = steady_now,
    ) -> None:
        self._asking = asking
        self._waits = waits
        self._clock = clock
        self._steady = steady
        self._kept: Recent[KeptToken] = Recent(most_kept)
        self._flights: dict[str, _Flight] = {}
        self._no_room_until = steady()
        self._kept_on = Tally(_tell_of_kept_on, steady)
        self._conflicts: Recent[datetime] = Recent(_MOST_CONFLICTS)

    def ready(self, user_id: str) -> KeptToken | None:
        """The token that is kept, if it need not be replaced yet. Waits for nothing."""
        kept = self._kept.get(user_id)
        if kept is None:
            return None
        now = self._clock()
        if now >= kept.refresh_after:
            return None
        if now >= kept.refresh_after - self._waits.early and self._steady() >= self._no_room_until:
            self._fetch_in_background(user_id)
        return kept

    async def token(self, user_id: str, *, insists: bool) -> KeptToken:
        """Raises what the pool raises, and UnavailableError. While there is trouble, a token that
        was to be replaced but is still good for a while is better than none.
        """
        kept = self.ready(user_id)
        if kept is not None:
            return kept
        self._refuse_known_conflict(user_id)
        old = self._still_good(user_id)
        try:
            return await self._flown(user_id, patient=insists and old is None)
        except IdentityConflictError:
            self._conflicts.put(user_id, self._steady() + CONFLICT_TOLD_FOR)
            raise
        except UploadgateError as error:
            if old is None:
                raise
            self._kept_on.count(error.code)
            return old

    def _refuse_known_conflict(self, user_id: str) -> None:
        """What only an operator can mend is not asked for again and again."""
        until = self._conflicts.get(user_id)
        if until is not None and self._steady() < until:
            raise IdentityConflictError

    def forget(self, user_id: str) -> None:
        """One that Cognito does not take back."""
        self._kept.drop(user_id)

    async def _flown(self, user_id: str, *, patient: bool) -> KeptToken:
        flight = self._flights.get(user_id) or self._start(user_id, background=False)
        try:
            return await self._landing(flight, patient=patient)
        except CognitoThrottledError:
            if not flight.background:
                raise
            # There was no room for one that nobody waited for: somebody does now.
            flight = self._flights.get(user_id) or self._start(user_id, background=False)
            return await self._landing(flight, patient=patient)

    async def _landing(self, flight: _Flight, *, patient: bool) -> KeptToken:
        waits = self._waits
        trouble = self._asking.in_trouble and not patient
        seconds = waits.trouble_seconds if trouble else waits.caller_seconds
        done, _ = await asyncio.wait([flight.task], timeout=seconds)
        if not done:
            raise self._asking.late()
        if flight.task.cancelled():
            raise CognitoUnavailableError(retry_after=1)  # the service stops
        return flight.task.result()

    def _fetch_in_background(self, user_id: str) -> None:
        """Where there is room for it: a caller who waits comes first."""
        if user_id not in self._flights:
            self._start(user_id, background=True)

    def _start(self, user_id: str, *, background: bool) -> _Flight:
        task = asyncio.create_task(self._fly(user_id, background=background))
        flight = self._flights[user_id] = _Flight(task, background)
        task.add_done_callback(lambda _: self._landed(user_id, flight))
        return flight

    async def _fly(self, user_id: str, *, background: bool) -> KeptToken:
        old = self._kept.get(user_id) if background else None
        better_than = self._clock() if old is None else old.refresh_after
        kept = await self._asking.ask(user_id, better_than=better_than, background=background)
        self._kept.put(user_id, kept)
        return kept

    def _landed(self, user_id: str, flight: _Flight) -> None:
        del self._flights[user_id]
        # Asked for here, too: of whom nobody waits any more, nobody else does.
        error = None if flight.task.cancelled() else flight.task.exception()
        if flight.background and isinstance(error, UploadgateError):
            self._no_room_until = self._steady() + timedelta(seconds=error.retry_after or 1)

    def _still_good(self, user_id: str) -> KeptToken | None:
        kept = self._kept.get(user_id)
        if kept is None or kept.expires_at - self._clock() < self._waits.least:
            return None
        return kept

    async def aclose(self) -> None:
        flights = [flight.task for flight in self._flights.values()]
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights, timeout=self._waits.caller_seconds)
        await self._asking.aclose()
