"""How often the store answered what: its own audit log, counted."""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any, Self

# Parts and whole objects alike: the store writes down the method and the key, not the query.
PUT_OBJECT = "REST.PUT.OBJECT"
_MAX_KEYS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One request as the store's audit log has it: `operation` is its word, `status` HTTP's."""

    operation: str
    key: str
    status: int
    user_agent: str

    @classmethod
    def from_entry(cls, entry: Any) -> Self:
        """Read an entry of the forward protocol: tag, time, record, options.

        ValueError when it is none.
        """
        match entry:
            case [_, _, {"operation": str(operation), "status": int(status)} as record, *_]:
                texts = {name: str(record.get(name, "")) for name in ("key", "user_agent")}
                return cls(operation=operation, status=status, **texts)
        raise ValueError("no entry of an audit log")


class RequestCounts:
    """Counts by operation and status, over all requests and for each of the last 10,000 keys."""

    def __init__(self) -> None:
        self._all: Counter[tuple[str, int]] = Counter()
        self._of_key: OrderedDict[str, Counter[tuple[str, int]]] = OrderedDict()

    def add(self, answered: Answered) -> None:
        what = (answered.operation, answered.status)
        self._all[what] += 1
        self._of_key.setdefault(answered.key, Counter())[what] += 1
        self._of_key.move_to_end(answered.key)
        if len(self._of_key) > _MAX_KEYS:
            self._of_key.popitem(last=False)

    def of(self, key: str | None = None) -> Counter[tuple[str, int]]:
        """Give a copy, so that a later one minus this one is what happened in between."""
        return Counter(self._all if key is None else self._of_key.get(key))
