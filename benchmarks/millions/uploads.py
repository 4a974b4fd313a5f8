"""A million records of which some thousands are due: the sweep looks at these. The store shows
nothing at any of their keys, and answers at once.
"""

from datetime import timedelta

from benchmarks.millions.reads import watched
from benchmarks.millions.work import worked
from benchmarks.record import Figure
from service.clock import utc_now
from service.completion.adoption import Adoption, AdoptionRules
from service.completion.decision import Deciding
from service.completion.settlement import Settlement
from service.completion.sweep import Sweep, SweepLimits
from service.uploads.multiparts import MultipartKeeper
from service.uploads.policy import Policy, Profile
from service.uploads.ports import UploadRecords
from settings import CompletionSettings
from state.database import Database
from state.uploads import SqlUploadRecords
from tests.fakes.multiparts import MemoryMultiparts
from tests.fakes.owners import OneOwner
from tests.fakes.store import MemoryStore

_URL_LIFE = timedelta(minutes=15)
_LATE_BYTES = timedelta(hours=2)


async def swept(url: str, *, due: int) -> Figure:
    async with watched(url) as (database, reads):
        work = await worked(_sweep(database).step, most=due)
    return work.figure("uploads: the sweep's looks at those due", reads)


def _sweep(database: Database) -> Sweep:
    """As wiring/completion.py has it, with the settings' defaults."""
    values, policy = CompletionSettings(), Policy([Profile()], "when_unlimited")
    overdue = timedelta(seconds=values.overdue_seconds)
    records, store = SqlUploadRecords(database), MemoryStore()
    deciding = Deciding(policy, _URL_LIFE, overdue)
    return Sweep(
        records=records,
        settlement=_settlement(records, store, deciding),
        keeper=MultipartKeeper(records=records, multiparts=MemoryMultiparts(store), clock=utc_now),
        reject_overgrown=_never,
        later_look=deciding.later_look,
        limits=SweepLimits(
            overdue=overdue,
            late_bytes=_LATE_BYTES,
            batch=values.batch,
            concurrency=values.concurrency,
        ),
        clock=utc_now,
    )


def _settlement(records: UploadRecords, store: MemoryStore, deciding: Deciding) -> Settlement:
    return Settlement(
        records=records,
        store=store,
        adoption=Adoption(OneOwner(), AdoptionRules(), "default"),
        deciding=deciding,
        scans=None,
        clock=utc_now,
    )


async def _never(_record: object) -> bool:
    return False
