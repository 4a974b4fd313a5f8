"""The completion room's front: takes what sources say, and runs processor and sweep."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import structlog

from errors import UploadgateError
from service.clock import Clock
from service.completion.events import ObjectEvent
from service.completion.intake import Intake
from service.completion.orphans import Orphans
from service.completion.ports import Inbox
from service.completion.processor import Processor
from service.completion.sweep import Sweep
from service.completion.upkeep import Upkeep

_log = structlog.get_logger("uploadgate.completion")
_POLL_SECONDS = 1.0  # other replicas' events, retries that come due and leases that ran out
_PAUSE_AFTER_FAILURE = 2.0
# Each takes a share of a batch, so that a key that hangs holds up its own lane only.
LANES = 4


class Completion:
    """One a replica. `accept` returns once the events are committed; `run` never returns."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        processor: Processor,
        sweep: Sweep,
        sweep_seconds: float,
        upkeep: Upkeep,
        orphans: Orphans,
        orphan_seconds: float,
        bucket: str,
        clock: Clock,
    ) -> None:
        self._intake = Intake(inbox, clock=clock)
        self._processor = processor
        self._sweep = sweep
        self._sweep_seconds = sweep_seconds
        self._upkeep = upkeep
        self._orphans = orphans
        self._orphan_seconds = orphan_seconds
        self._bucket = bucket
        self._news = asyncio.Event()

    async def accept(self, events: Sequence[ObjectEvent]) -> int:
        """How many events were new; those of other buckets are none of ours. Raises
        OverloadedError or UnavailableError, after which another delivery finds what was kept.
        """
        ours = [event for event in events if event.bucket == self._bucket]
        if not ours:
            return 0
        new = await self._intake.put(ours)
        if new:
            self._news.set()
        return new

    async def aclose(self) -> None:
        """Waits for the commits under way."""
        await self._intake.aclose()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(
                    self._forever("processor", self._processor.step, self._wait_for_news)
                )
            group.create_task(self._forever("sweep", self._sweep.step, self._wait_for_sweep))
            group.create_task(self._forever("upkeep", self._upkeep.step, self._wait_for_sweep))
            group.create_task(self._walk())

    async def _walk(self) -> None:
        """Not at the start: replicas that start together would all walk at once."""
        await self._wait_for_walk()
        await self._forever("orphans", self._orphans.step, self._wait_for_walk)

    async def _wait_for_walk(self) -> None:
        await asyncio.sleep(self._orphan_seconds * (0.5 + random.random() / 2))  # noqa: S311

    async def _forever(
        self, name: str, step: Callable[[], Awaitable[int]], idle: Callable[[], Awaitable[None]]
    ) -> None:
        """Steps as long as there is work. A database that is away ends nothing: it comes back."""
        while True:
            try:
                if await _on_its_own(step) == 0:
                    await idle()
            except* UploadgateError as failed:
                codes = sorted({error.code for error in _flat(failed)})
                await self._pause(name, codes, None)
            except* Exception as failed:  # noqa: BLE001 - see below
                # A fault of ours: told in full, and tried again rather than silently ended.
                await self._pause(name, ["internal_error"], failed)

    async def _pause(self, name: str, causes: list[str], trace: BaseException | None) -> None:
        if _is_stopping():
            # What was cancelled told of a failure instead: going on would never end.
            raise asyncio.CancelledError
        _log.warning("completion.paused", part=name, causes=causes, exc_info=trace)
        await asyncio.sleep(_PAUSE_AFTER_FAILURE * (0.5 + random.random()))  # noqa: S311 - jitter

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    async def _wait_for_sweep(self) -> None:
        await asyncio.sleep(self._sweep_seconds)


async def _on_its_own(step: Callable[[], Awaitable[int]]) -> int:
    """In a task of its own: a task group that failed leaves its task marked as being cancelled
    (CPython 3.11), which here must mean a stop and nothing else.
    """

    async def stepped() -> int:
        return await step()

    try:
        return await asyncio.create_task(stepped())
    except asyncio.CancelledError:
        if _is_stopping():
            raise
        raise RuntimeError("a step was cancelled, and nobody had asked for it") from None


def _is_stopping() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _flat(group: BaseExceptionGroup[UploadgateError]) -> list[UploadgateError]:
    found: list[UploadgateError] = []
    for error in group.exceptions:
        found += _flat(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
