"""Logins and users that have ended before their access tokens have.

The database says so (`EndedLogins`). This replica knows at once what it has ended itself, hears of
the rest from the other replicas, and looks for itself, should news get lost.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Protocol

import structlog

import errors
from auth.callers import Caller, Clock, utc_now

NEWS = "!"
"""What the words between replicas begin with: no user id does."""

_SESSION, _USER = f"{NEWS}session:", f"{NEWS}user:"
_FIRST_RETRY_SECONDS = 1.0
_NOT_KNOWN = "It is not known yet which logins have ended"
_log = structlog.get_logger("uploadgate.revocations")


class EndedLogins(Protocol):
    """What the database has. A time is when it was revoked by the clock of the replica that did
    it, which is before it could be seen. Both raise UnavailableError.
    """

    async def sessions(self, since: datetime) -> Collection[str]: ...

    async def users(self, since: datetime) -> Collection[str]: ...


def _nobody_told(_word: str) -> None:
    pass


class Revocations:
    """Refuses what has ended. Kept as long as it matters: `token_seconds` is how long a token is
    accepted after it was issued, `late_seconds` how long after its time a revocation may become
    visible (transactions, and the difference of clocks), and an access token be issued that it is
    to end. So there are as many as logins that ended within that time, each of which took a
    password to begin.

    `ended` None: there is nothing to look at, what is ended here is all there is. `tell` takes
    words for the other replicas; it neither waits nor fails.
    """

    def __init__(
        self,
        ended: EndedLogins | None = None,
        *,
        token_seconds: float,
        look_seconds: float,
        late_seconds: float,
        tell: Callable[[str], None] = _nobody_told,
        clock: Clock = utc_now,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ended = ended
        self.matter_seconds = token_seconds + late_seconds
        self._late = timedelta(seconds=late_seconds)
        self._look_seconds = look_seconds
        self._tell = tell
        self._clock = clock
        self._now = now
        # To when they may be forgotten, the first one first.
        self._sessions: dict[str, float] = {}
        self._users: dict[str, float] = {}
        self._looked_at: datetime | None = None
        self._knows = ended is None
        self._missed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._sessions) + len(self._users)

    def check(self, caller: Caller) -> None:
        """Raises InvalidTokenError for one whose login has ended; UnavailableError before the first
        look, when nobody can be believed.
        """
        if not self.stands(caller):
            raise errors.InvalidTokenError
        if not self._knows:
            raise errors.UnavailableError(_NOT_KNOWN, retry_after=1)

    def stands(self, caller: Caller) -> bool:
        return caller.session_id not in self._sessions and caller.user_id not in self._users

    def end_session(self, session_id: str) -> None:
        """Call it, and the next, once the database has it."""
        self._mark(self._sessions, [session_id])
        self._tell(_SESSION + session_id)

    def end_user(self, user_id: str) -> None:
        self._mark(self._users, [user_id])
        self._tell(_USER + user_id)

    def hear(self, word: str) -> None:
        """What another replica told."""
        if word.startswith(_SESSION):
            self._mark(self._sessions, [word.removeprefix(_SESSION)])
        elif word.startswith(_USER):
            self._mark(self._users, [word.removeprefix(_USER)])

    def missed(self) -> None:
        """Words may have got lost: it looks as soon as it can."""
        self._missed.set()

    async def first_look(self) -> None:
        """Returns once it is known what has ended, however long the database is away."""
        while not self._knows and not await self._looked():  # noqa: ASYNC110 - it is what looks
            await asyncio.sleep(_jittered(_FIRST_RETRY_SECONDS))

    async def run(self) -> None:
        """Looks for as long as the process lives. While the database is away, what is known stands;
        nothing can end then either.
        """
        if self._ended is None:
            return
        await self.first_look()
        while True:
            await self._until_it_is_time()
            await self._looked()

    async def _until_it_is_time(self) -> None:
        try:
            async with asyncio.timeout(_jittered(self._look_seconds)):
                await self._missed.wait()
        except TimeoutError:
            return
        # One look for all that is told meanwhile.
        self._missed.clear()

    async def _looked(self) -> bool:
        try:
            await self._look()
        except errors.UnavailableError:
            _log.warning("revocations.not_looked", cause="unavailable")
        except Exception:  # noqa: BLE001 - told, and tried again: the rest is served meanwhile
            _log.exception("revocations.not_looked")
        else:
            return True
        return False

    async def _look(self) -> None:
        if self._ended is None:
            return
        began = self._clock()
        since = self._since(began)
        self._mark(self._sessions, await self._ended.sessions(since))
        self._mark(self._users, await self._ended.users(since))
        self._looked_at = began
        self._knows = True
        self._prune(self._sessions)
        self._prune(self._users)

    def _since(self, now: datetime) -> datetime:
        """A clock that went back says nothing of when it looked last."""
        if self._looked_at is None or now < self._looked_at:
            return now - timedelta(seconds=self.matter_seconds)
        return self._looked_at - self._late

    def _mark(self, ended: dict[str, float], ids: Iterable[str]) -> None:
        until = self._now() + self.matter_seconds
        for found in ids:
            ended.setdefault(found, until)

    def _prune(self, ended: dict[str, float]) -> None:
        """By a clock that never goes back: a token that comes alive again is refused again."""
        now = self._now()
        over = []
        for found, until in ended.items():
            if until > now:
                break
            over.append(found)
        for found in over:
            del ended[found]


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
