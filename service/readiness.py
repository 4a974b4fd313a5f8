"""Whether this replica should get traffic, and what is degraded."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from errors import CognitoRefusedError, StoreRefusedError, UploadgateError

_log = structlog.get_logger("uploadgate.readiness")
Check = Callable[[], Awaitable[None]]
# What waiting does not mend: rights, names or addresses are wrong.
_MISCONFIGURED = (StoreRefusedError, CognitoRefusedError)


class Phase(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Degraded:
    """A dependency that does not answer as it must. `required` makes the replica unready."""

    dependency: str
    code: str
    required: bool


@dataclass(frozen=True, slots=True)
class Report:
    """`status` is ready, starting, draining, failed, misconfigured or unavailable."""

    status: str
    degraded: tuple[Degraded, ...]

    @property
    def ready(self) -> bool:
        return self.status == Phase.READY


class Readiness:
    """Looks at each dependency at most once in `believe_seconds`, however often it is asked. Who
    asks waits for a look for `patience_seconds` at most, then hears what was found before: a store
    that hangs must not make every replica look dead to a load balancer.
    """

    def __init__(
        self,
        *,
        checks: Mapping[str, Check],
        required: frozenset[str],
        believe_seconds: float,
        check_seconds: float,
        patience_seconds: float = 0.5,
    ) -> None:
        self._checks = checks
        self._required = required
        self._believe_seconds = believe_seconds
        self._check_seconds = check_seconds
        self._patience_seconds = patience_seconds
        self._phase = Phase.STARTING
        self._looking: asyncio.Task[None] | None = None
        self._looked_at: float | None = None
        self._found: tuple[Degraded, ...] = ()

    def started(self) -> None:
        if self._phase is Phase.STARTING:
            self._phase = Phase.READY

    def drain(self) -> None:
        """From now on unready: load balancers take the replica out while it serves on."""
        self._phase = Phase.DRAINING

    def fail(self) -> None:
        """A part without which the replica is of no use has ended."""
        self._phase = Phase.FAILED

    async def report(self) -> Report:
        if self._phase is not Phase.READY:
            return Report(self._phase.value, self._found)
        if self._is_stale():
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            first = self._looked_at is None
            await asyncio.wait([self._looking], timeout=None if first else self._patience_seconds)
        return Report(self._status(), self._found)

    async def aclose(self) -> None:
        """Ends a look that is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def _status(self) -> str:
        codes = {kind.code for kind in _MISCONFIGURED}
        if any(found.code in codes and found.required for found in self._found):
            return "misconfigured"
        if any(found.dependency == "store" and found.code in codes for found in self._found):
            return "misconfigured"
        if any(found.required for found in self._found):
            return "unavailable"
        return Phase.READY.value

    def _is_stale(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._looked_at is None or now - self._looked_at >= self._believe_seconds

    async def _look(self) -> None:
        names = sorted(self._checks)
        results = await asyncio.gather(*(self._one(name) for name in names))
        self._found = tuple(found for found in results if found is not None)
        self._looked_at = asyncio.get_running_loop().time()

    async def _one(self, name: str) -> Degraded | None:
        try:
            async with asyncio.timeout(self._check_seconds):
                await self._checks[name]()
        except UploadgateError as error:
            return Degraded(name, error.code, name in self._required)
        except TimeoutError:
            return Degraded(name, "timeout", name in self._required)
        except Exception:  # noqa: BLE001 - see below
            # Whatever a check breaks of: an answer, and never a 500 to a load balancer.
            _log.exception("check.failed", dependency=name)
            return Degraded(name, "internal_error", name in self._required)
        return None
