"""An inbox of millions: all that waits is claimed and settled, all that is past is forgotten."""

from datetime import timedelta

from benchmarks.millions.reads import watched
from benchmarks.millions.work import worked
from benchmarks.record import Figure
from service.clock import utc_now
from state.inbox import SqlInbox

_BATCH = 500
_WORKER = "benchmark"
_LEASE = timedelta(hours=1)
_KEPT = timedelta(days=1)


async def settled(url: str, count: int) -> Figure:
    async with watched(url) as (database, reads):
        inbox = SqlInbox(database, limit=10 * count)

        async def call() -> int:
            now = utc_now()
            claimed = await inbox.claim(_WORKER, now, until=now + _LEASE, limit=_BATCH)
            await inbox.settle_all(claimed, _WORKER, "completed", now)
            return len(claimed)

        work = await worked(call)
    return work.figure("inbox: events claimed and settled", reads)


async def forgotten(url: str, count: int) -> Figure:
    async with watched(url) as (database, reads):
        inbox = SqlInbox(database, limit=10 * count)
        work = await worked(lambda: inbox.forget(utc_now() - _KEPT))
    return work.figure("inbox: old events forgotten", reads)
