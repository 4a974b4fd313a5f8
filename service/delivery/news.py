"""Tells this replica's streams, and the other replicas, of whom there is news.

Only user ids and a few words go from one replica to another, and none of them has to arrive: what
happened is in the database, and whoever may have missed something looks there.
"""

import asyncio
import random
from collections.abc import Callable

import structlog

from errors import UnavailableError
from service.delivery.hub import Hub
from service.delivery.ports import Bus

_Listener = tuple[str, Callable[[str], None], Callable[[], None]]

_log = structlog.get_logger("uploadgate.news")
_MOST_WAITING = 10_000
# What is told of meanwhile goes out together.
_GATHER_SECONDS = 0.01
_LONGEST_PAUSE = 30.0


class News:
    """One a process. `bus` is None where there are no other replicas, `hub` where there are no
    streams (a worker): it only publishes then. `retry_seconds` is the first pause after a failure.
    """

    def __init__(self, *, hub: Hub | None, bus: Bus | None, retry_seconds: float = 0.5) -> None:
        self._hub = hub
        self._bus = bus
        self._retry_seconds = retry_seconds
        self._waiting: set[str] = set()
        self._some = asyncio.Event()
        self._listeners: list[_Listener] = []

    def on(self, mark: str, hear: Callable[[str], None], missed: Callable[[], None]) -> None:
        """Words of the other replicas that begin with `mark`, as no user id does, are for `hear`;
        `missed` is told when some may have been lost. Neither waits nor fails. One's own words go
        by `announce`, too, and do not come back.
        """
        self._listeners.append((mark, hear, missed))

    def announce(self, user_id: str) -> None:
        """Implements service.delivery.ports.Announce. What there is no room for is left to the
        other replicas' own looks.
        """
        if self._hub is not None:
            self._hub.wake(user_id)
        if self._bus is not None and len(self._waiting) < _MOST_WAITING:
            self._waiting.add(user_id)
            self._some.set()

    async def run(self) -> None:
        """For as long as the process lives; returns at once where there is nobody to tell. A bus
        that is away ends nothing.
        """
        if self._bus is None:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish_forever(self._bus))
            if self._hub is not None:
                group.create_task(self._listen_forever(self._bus, self._hub))

    async def _publish_forever(self, bus: Bus) -> None:
        failures = 0
        while True:
            await self._some.wait()
            self._some.clear()
            batch, self._waiting = self._waiting, set()
            if await self._publish(bus, batch):
                failures = 0
                await asyncio.sleep(_GATHER_SECONDS)
                continue
            self._keep(batch)
            failures += 1
            await self._pause(failures)

    async def _publish(self, bus: Bus, batch: set[str]) -> bool:
        try:
            await bus.publish(batch)
        except UnavailableError as error:
            _log.warning("news.not_published", users=len(batch), cause=_cause(error))
            return False
        except Exception:  # noqa: BLE001 - a fault of ours must not end the listening beside it
            _log.exception("news.not_published", users=len(batch))
            return False
        return True

    def _keep(self, batch: set[str]) -> None:
        room = _MOST_WAITING - len(self._waiting)
        self._waiting.update(list(batch)[: max(room, 0)])
        self._some.set()

    async def _listen_forever(self, bus: Bus, hub: Hub) -> None:
        clock = asyncio.get_running_loop().time
        failures = 0
        while True:
            began = clock()
            await self._listen(bus, hub)
            # One that is lost as soon as it is made must not wake everybody all the time.
            failures = 1 if clock() - began > _LONGEST_PAUSE else failures + 1
            await self._pause(failures)

    async def _listen(self, bus: Bus, hub: Hub) -> None:
        """Until the connection is lost."""
        try:
            async with bus.listening() as user_ids:
                _log.info("news.listening")
                self._look_all(hub)
                async for user_id in user_ids:
                    self._hear(hub, user_id)
        except UnavailableError as error:
            _log.warning("news.not_listening", cause=_cause(error))
        except Exception:  # noqa: BLE001 - told, and tried again rather than silently ended
            _log.exception("news.not_listening")

    def _look_all(self, hub: Hub) -> None:
        hub.wake_all()
        for _, _, missed in self._listeners:
            missed()

    def _hear(self, hub: Hub, word: str) -> None:
        for mark, hear, _ in self._listeners:
            if word.startswith(mark):
                hear(word)
                return
        hub.wake(word)

    async def _pause(self, failures: int) -> None:
        jitter = random.random()  # noqa: S311 - no secret
        await asyncio.sleep(pause_seconds(failures, self._retry_seconds, jitter))


def pause_seconds(failures: int, first: float, jitter: float) -> float:
    """Twice as long after each failure, up to 30 s, less up to half by `jitter` (0 to 1)."""
    longest = min(_LONGEST_PAUSE, first * (1 << min(failures - 1, 16)))
    return longest * (1 - jitter / 2)


def _cause(error: BaseException) -> str:
    """A kind, never a text: that may quote an address."""
    return type(error.__cause__ or error).__name__
