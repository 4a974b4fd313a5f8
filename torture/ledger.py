"""What was done to the service and what it said to it, by which it is judged afterwards."""

from collections import Counter
from dataclasses import dataclass, field

from torture.world import Person


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """One notification of the store: `body` as it is posted, `dedupe_key` as the inbox has it."""

    body: bytes = field(repr=False)
    dedupe_key: str
    key: str


@dataclass
class Ledger:
    """By key: the status in which its one record must end, and the ETag of what was written."""

    people: list[Person]
    expected: dict[str, str] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    """Dedupe keys of the events that were answered 2xx at least once."""
    answers: Counter[str] = field(default_factory=Counter)
    """How posts of events were answered: a status, or the name of what went wrong."""
    notes: list[str] = field(default_factory=list)
    """What went wrong in a way that no count tells."""

    @property
    def user_ids(self) -> list[str]:
        return [person.id for person in self.people]
