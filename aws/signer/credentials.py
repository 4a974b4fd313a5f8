"""The keys that sign, as they are now: a long-lived key, or a task role's, renewed underneath."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import NoCredentialsError, PartialCredentialsError

from errors import StoreRefusedError, StoreUnavailableError, UploadgateError
from service.clock import Clock, utc_now

if TYPE_CHECKING:
    import aioboto3

_log = structlog.get_logger("uploadgate.signer")
# With less than this to live, a URL would die on its way to the client: better to wait for new
# keys. With more, no call ever waits for them.
SHORTEST_LIFE: Final = timedelta(seconds=60)
_PAUSE: Final = 5.0  # seconds between two attempts in the background, up to half as much again


@dataclass(frozen=True, slots=True)
class SigningCredentials:
    """`expires_at` in UTC, None for a long-lived key."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


CredentialSource = Callable[[], Awaitable[SigningCredentials]]
"""Raises StoreRefusedError where there are none, StoreUnavailableError where they cannot be
renewed now.
"""


class SessionCredentials:
    """A CredentialSource over what an aiobotocore session holds and its clients share.

    botocore calls keys due for renewal 15 minutes before they end. From then on one task renews
    them in the background while calls go on with the old ones; only when these have less than
    SHORTEST_LIFE left does a call wait, `seconds` at the most. So a metadata service that is down
    stops nothing until a minute before the end (botocore's own presigning: 10 minutes before).
    """

    def __init__(self, held: Any, *, seconds: float, clock: Clock = utc_now) -> None:
        """`held` is an AioCredentials, plain or refreshable; None where nothing was found."""
        self._held = held
        self._seconds = seconds
        self._clock = clock
        self._renewal: asyncio.Task[None] | None = None
        self._next_try = 0.0

    @classmethod
    async def of(cls, session: "aioboto3.Session", *, seconds: float) -> "SessionCredentials":
        """Searches as the session's first client does, and shares what that has found."""
        held: Any = session.get_credentials()
        return cls(await held, seconds=seconds)

    async def __call__(self) -> SigningCredentials:
        if self._held is None:
            raise StoreRefusedError("The service has no credentials for the store")
        if not isinstance(self._held, RefreshableCredentials):
            return _plain(await self._held.get_frozen_credentials(), None)
        if self._held.refresh_needed():
            await self._renew()
        return self._present()

    async def aclose(self) -> None:
        """Ends a renewal under way."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait({self._renewal})

    def _present(self) -> SigningCredentials:
        """Keys and end are set in one step of botocore's; it tells nobody the end but so."""
        held: Any = self._held
        return _plain(held._frozen_credentials, held._expiry_time)  # noqa: SLF001

    async def _renew(self) -> None:
        if self._lives():
            self._renewing(patient=True)
            return
        task = self._renewing(patient=False)
        # Not cancelled with this call or at its end: others wait for it as well.
        await asyncio.wait({task}, timeout=self._seconds)
        if not task.done() or task.cancelled() or task.exception() is not None:
            raise _problem(task)

    def _lives(self) -> bool:
        """A role that is assumed at first use has no keys before it."""
        ends: datetime | None = self._held._expiry_time  # noqa: SLF001
        return ends is not None and ends - self._clock() >= SHORTEST_LIFE

    def _renewing(self, *, patient: bool) -> asyncio.Task[None]:
        """The one attempt under way, or a new one; patient callers leave a pause in between."""
        now = asyncio.get_running_loop().time()
        task = self._renewal
        if task is not None and (not task.done() or (patient and now < self._next_try)):
            return task
        self._next_try = now + _PAUSE * random.uniform(1, 1.5)  # noqa: S311 - not a secret
        self._renewal = task = asyncio.create_task(self._renewed())
        task.add_done_callback(_noted)
        return task

    async def _renewed(self) -> None:
        async with asyncio.timeout(self._seconds):
            await self._held.get_frozen_credentials()


def _plain(frozen: Any, ends: datetime | None) -> SigningCredentials:
    return SigningCredentials(
        access_key_id=frozen.access_key,
        secret_access_key=frozen.secret_key,
        session_token=frozen.token,
        expires_at=None if ends is None else ends.astimezone(UTC),
    )


def _noted(task: asyncio.Task[None]) -> None:
    """Also tells asyncio that a failure was seen, where no call waits for it."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.warning("signer.renewal_failed", cause=type(error).__name__)


def _problem(task: asyncio.Task[None]) -> UploadgateError:
    error = task.exception() if task.done() and not task.cancelled() else None
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return StoreRefusedError("The service has no credentials for the store")
    return StoreUnavailableError(
        "The service's credentials for the store cannot be renewed now", retry_after=5
    )
