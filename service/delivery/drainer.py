"""Spreads events over the endpoints and makes the deliveries, each under a lease."""

import asyncio
import random
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import structlog

from errors import UploadgateError
from service.clock import Clock
from service.delivery.attempt import Courier, named
from service.delivery.ports import Delivery, Outbox, Sender

_log = structlog.get_logger("uploadgate.delivery")
_POLL_SECONDS = 1.0  # other replicas' events, retries that come due and leases that ran out
_PAUSE_AFTER_FAILURE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainLimits:
    """`batch` events are spread at once. `concurrency` attempts are under way at a time,
    `per_endpoint` of them to one endpoint; each within `lease`, which is longer than the sender's
    own time-out. `retry_seconds` are the pauses after failed attempts.
    """

    batch: int
    concurrency: int
    per_endpoint: int
    lease: timedelta
    retry_seconds: tuple[float, ...]


class Drainer:
    """One a replica. `run` never returns. Two clocks: see Courier."""

    def __init__(
        self, *, outbox: Outbox, sender: Sender, limits: DrainLimits, clock: Clock, world: Clock
    ) -> None:
        self._outbox = outbox
        self._limits = limits
        self._clock = clock
        self._worker = uuid.uuid4().hex
        self._courier = Courier(
            outbox=outbox,
            sender=sender,
            retry_seconds=limits.retry_seconds,
            worker=self._worker,
            clock=clock,
            world=world,
        )
        self._busy: Counter[str] = Counter()
        self._news = asyncio.Event()

    def news(self) -> None:
        """An event was committed here. Never waits, never fails."""
        self._news.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as attempts:
            while True:
                try:
                    if await self._begin(attempts) == 0:
                        await self._wait_for_news()
                except UploadgateError as failed:
                    await self._pause(failed.code, None)
                except Exception as failed:  # noqa: BLE001 - see below
                    # A fault of ours: told in full, and tried again rather than silently ended.
                    await self._pause("internal_error", failed)

    async def step(self) -> int:
        """Spreads once, claims once and makes what it claimed; how many of both."""
        async with asyncio.TaskGroup() as attempts:
            return await self._begin(attempts)

    async def _begin(self, attempts: asyncio.TaskGroup) -> int:
        """Without waiting for the attempts, so that a slow one keeps its own place only."""
        spread = await self._outbox.fan_out(self._clock(), self._limits.batch)
        claimed = await self._claim()
        for delivery in claimed:
            self._busy[delivery.endpoint_id] += 1
            attempts.create_task(self._one(delivery))
        return spread + len(claimed)

    async def _claim(self) -> list[Delivery]:
        places = self._limits.concurrency - self._busy.total()
        if places <= 0:
            return []
        now = self._clock()
        return list(
            await self._outbox.claim(
                self._worker,
                now,
                until=now + self._limits.lease,
                limit=places,
                per_endpoint=self._limits.per_endpoint,
                busy=dict(self._busy),
            )
        )

    async def _one(self, delivery: Delivery) -> None:
        try:
            async with asyncio.timeout(self._limits.lease.total_seconds()):
                await self._courier.make(delivery)
        except (UploadgateError, TimeoutError) as error:
            # Nothing is written: it is made again when the lease has run out.
            _log.warning("webhook.lost", cause=type(error).__name__, **named(delivery))
        except Exception:  # noqa: BLE001 - a fault of ours must not end the others
            _log.exception("webhook.failed", **named(delivery))
        finally:
            self._free(delivery.endpoint_id)

    def _free(self, endpoint_id: str) -> None:
        """What had to wait for this place need not wait for the next look."""
        if (
            self._busy.total() >= self._limits.concurrency
            or self._busy[endpoint_id] >= self._limits.per_endpoint
        ):
            self._news.set()
        self._busy[endpoint_id] -= 1
        if not self._busy[endpoint_id]:
            del self._busy[endpoint_id]

    async def _pause(self, cause: str, trace: Exception | None) -> None:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # Whatever was cancelled told of a failure instead: going on would never end.
            raise asyncio.CancelledError
        _log.warning("delivery.paused", cause=cause, exc_info=trace)
        await asyncio.sleep(_PAUSE_AFTER_FAILURE * (0.5 + random.random()))  # noqa: S311 - jitter

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()
