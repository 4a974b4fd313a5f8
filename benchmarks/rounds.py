"""Round by round: what each subject came to, and how ours compares with another in the median."""

import statistics
from collections.abc import Collection, Mapping
from typing import Any

from benchmarks.record import Figure, Target

More = Mapping[str, float | int | str | None]


class Rounds:
    """Of one case, all in one unit. Of `more`, numbers become medians, those `summed` sums (what is
    counted, and must not hide in a median), the rest the last one.
    """

    def __init__(self, case: str, unit: str, *, summed: Collection[str] = ()) -> None:
        self.case = case
        self.unit = unit
        self._summed = summed
        self._found: dict[str, list[float]] = {}
        self._more: dict[str, list[More]] = {}

    def add(self, subject: str, value: float, **more: float | str | None) -> None:
        self._found.setdefault(subject, []).append(value)
        self._more.setdefault(subject, []).append(more)

    def figures(self) -> list[Figure]:
        return [
            Figure(
                case=self.case,
                subject=subject,
                value=statistics.median(values),
                unit=self.unit,
                rounds=tuple(values),
                more=self._together(self._more[subject]),
            )
            for subject, values in self._found.items()
        ]

    def ratio(self, ours: str, theirs: str) -> float | None:
        """The median over the rounds that both have; None without any."""
        pairs = zip(self._found.get(ours, []), self._found.get(theirs, []), strict=False)
        ratios = [our / their for our, their in pairs]
        return statistics.median(ratios) if ratios else None

    def at_least(self, least: float, ours: str, theirs: str) -> list[Target]:
        """None where the other one is absent."""
        found = self.ratio(ours, theirs)
        if found is None:
            return []
        return [Target(case=self.case, against=theirs, found=found, least=least)]

    def _together(self, all_: list[More]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in all_[-1]:
            values = [more[name] for more in all_ if name in more]
            numbers = [value for value in values if isinstance(value, int | float)]
            combined = sum if name in self._summed else statistics.median
            found[name] = combined(numbers) if len(numbers) == len(values) else values[-1]
        return found
