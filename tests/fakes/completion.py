"""Completion's parts, wired to the fakes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from service.completion.adoption import Adoption, AdoptionRules
from service.completion.completion import Completion
from service.completion.decision import Deciding
from service.completion.orphans import Orphans
from service.completion.processor import Processor, ProcessorLimits
from service.completion.settlement import Settlement
from service.completion.sweep import Sweep, SweepLimits
from service.completion.upkeep import Upkeep
from service.uploads.completing import Completing
from service.uploads.multiparts import MultipartKeeper
from service.uploads.policy import IssueCredentials, Policy, Profile
from tests.fakes.clock import Clock
from tests.fakes.inbox import MemoryInbox
from tests.fakes.multiparts import MemoryMultiparts
from tests.fakes.owners import OneOwner
from tests.fakes.records import BUCKET, MemoryRecords
from tests.fakes.store import MemoryStore

OVERDUE = timedelta(seconds=30)
LEASE = timedelta(seconds=60)
URL_LIFE = timedelta(hours=1)
LATE_BYTES = timedelta(hours=2)


class World:
    """One replica's completion, and what stands around it. The first profile is the default."""

    def __init__(
        self,
        *,
        rules: AdoptionRules | None = None,
        max_size: int | None = None,
        profiles: Sequence[Profile] = (),
        issue: IssueCredentials = "when_unlimited",
    ) -> None:
        self.clock = Clock()
        self.policy = Policy(profiles or [Profile(max_size=max_size)], issue)
        self.records = MemoryRecords()
        self.store = MemoryStore()
        self.multiparts = MemoryMultiparts(self.store)
        self.inbox = MemoryInbox()
        self.keeper = MultipartKeeper(
            records=self.records, multiparts=self.multiparts, clock=self.clock
        )
        self.deciding = Deciding(self.policy, URL_LIFE, OVERDUE)
        self.settlement = self.settling(rules or AdoptionRules())
        self.completing = Completing(
            records=self.records,
            keys=self.records.keys,
            store=self.store,
            multiparts=self.multiparts,
            keeper=self.keeper,
            policy=self.policy,
            settle=self.settlement.settle,
            lease=LEASE,
            clock=self.clock,
        )

    def settling(self, rules: AdoptionRules) -> Settlement:
        return Settlement(
            records=self.records,
            store=self.store,
            adoption=Adoption(OneOwner(), rules, self.policy.profile(None).name),
            deciding=self.deciding,
            scans=None,
            clock=self.clock,
        )

    def processor(self, settlement: Any = None, **changes: Any) -> Processor:
        limits = {"batch": 10, "concurrency": 4, "lease": LEASE, "max_attempts": 3, **changes}
        return Processor(
            inbox=self.inbox,
            settlement=settlement or self.settlement,
            limits=ProcessorLimits(**limits),
            clock=self.clock,
        )

    def sweep(self, settlement: Any = None, batch: int = 10) -> Sweep:
        return Sweep(
            records=self.records,
            settlement=settlement or self.settlement,
            keeper=self.keeper,
            reject_overgrown=self.completing.reject_overgrown,
            later_look=self.deciding.later_look,
            limits=SweepLimits(
                overdue=OVERDUE,
                late_bytes=LATE_BYTES,
                batch=batch,
                concurrency=4,
            ),
            clock=self.clock,
        )

    def upkeep(self) -> Upkeep:
        return Upkeep(inbox=self.inbox, keep=timedelta(days=30), lease=LEASE, clock=self.clock)

    def completion(self, processor: Any = None, sweep: Any = None) -> Completion:
        return Completion(
            inbox=self.inbox,
            processor=processor or self.processor(),
            sweep=sweep or self.sweep(),
            sweep_seconds=3600,
            upkeep=self.upkeep(),
            orphans=Orphans(
                records=self.records,
                multiparts=self.multiparts,
                owners=OneOwner(),
                bucket=BUCKET,
                orphan_age=timedelta(days=7),
                clock=self.clock,
            ),
            orphan_seconds=3600,
            bucket=BUCKET,
            clock=self.clock,
        )
