"""A million events to be told: spread over endpoints, claimed and marked in the drainer's own
batches, forgotten when they are old.
"""

import asyncio
from datetime import timedelta

from benchmarks.millions.reads import watched
from benchmarks.millions.work import worked
from benchmarks.record import Figure
from service.clock import utc_now
from service.delivery.ports import Forgotten
from settings import DeliverySettings
from state.outbox import SqlOutbox

_SPREAD_AT_ONCE = 100  # as wiring/delivery.py has it
_FORGOTTEN_AT_ONCE = 500  # as service/delivery/retention.py has it
_WORKER = "benchmark"
_OK = 200


async def spread(url: str, *, most: int, seconds: float) -> Figure:
    async with watched(url) as (database, reads):
        outbox = SqlOutbox(database)
        work = await worked(
            lambda: outbox.fan_out(utc_now(), _SPREAD_AT_ONCE), most=most, seconds=seconds
        )
    return work.figure("events: spread over endpoints", reads)


async def delivered(url: str, *, most: int, seconds: float) -> Figure:
    """A claim takes what a replica has places for; each is marked by itself, all at once."""
    values = DeliverySettings()
    lease = timedelta(seconds=values.lease_seconds)
    async with watched(url) as (database, reads):
        outbox = SqlOutbox(database)

        async def call() -> int:
            now = utc_now()
            claimed = await outbox.claim(
                _WORKER,
                now,
                until=now + lease,
                limit=values.concurrency,
                per_endpoint=values.per_endpoint,
                busy={},
            )
            async with asyncio.TaskGroup() as group:
                for one in claimed:
                    group.create_task(outbox.delivered(one, _WORKER, utc_now(), _OK))
            return len(claimed)

        work = await worked(call, most=most, seconds=seconds)
    return work.figure("deliveries: claimed and marked", reads)


async def forgotten(url: str, *, seconds: float) -> Figure:
    async with watched(url) as (database, reads):
        outbox = SqlOutbox(database)
        before = utc_now() - timedelta(days=DeliverySettings().keep_days)
        last = Forgotten(0, None)

        async def call() -> int:
            nonlocal last
            last = await outbox.forget(before, _FORGOTTEN_AT_ONCE, after=last.after)
            return last.count

        work = await worked(call, seconds=seconds)
    return work.figure("events: old ones forgotten, with their deliveries", reads)
