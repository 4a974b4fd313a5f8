"""Completion's parts, wired to the fakes."""

from datetime import timedelta
from typing import Any

from service.completion.adoption import Adoption, AdoptionRules
from service.completion.completion import Completion
from service.completion.processor import Processor, ProcessorLimits
from service.completion.settlement import Settlement
from service.completion.sweep import Sweep, SweepLimits
from service.uploads.policy import Policy, Profile
from tests.fakes.clock import Clock
from tests.fakes.inbox import MemoryInbox
from tests.fakes.owners import OneOwner
from tests.fakes.records import BUCKET, MemoryRecords
from tests.fakes.store import MemoryStore

OVERDUE = timedelta(seconds=30)
LEASE = timedelta(seconds=60)


class World:
    """One replica's completion, and what stands around it."""

    def __init__(self, *, rules: AdoptionRules | None = None, max_size: int | None = None) -> None:
        self.clock = Clock()
        self.records = MemoryRecords()
        self.store = MemoryStore()
        self.inbox = MemoryInbox()
        self.settlement = self.settling(rules or AdoptionRules(), max_size)

    def settling(self, rules: AdoptionRules, max_size: int | None = None) -> Settlement:
        return Settlement(
            records=self.records,
            store=self.store,
            adoption=Adoption(OneOwner(), rules, "default"),
            policy=Policy([Profile(max_size=max_size)]),
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
            inbox=self.inbox,
            settlement=settlement or self.settlement,
            limits=SweepLimits(OVERDUE, batch, timedelta(days=30)),
            clock=self.clock,
        )

    def completion(self, processor: Any = None, sweep: Any = None) -> Completion:
        return Completion(
            inbox=self.inbox,
            processor=processor or self.processor(),
            sweep=sweep or self.sweep(),
            sweep_seconds=3600,
            bucket=BUCKET,
            clock=self.clock,
        )
