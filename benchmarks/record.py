"""What a case of `make bench` found, as it goes to the table, the JSON and the pictures."""

import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One thing measured: `subject` is what did the work of `case`. `value` is the median of
    `rounds` (a figure a round) in `unit`; `more` holds what else was seen (`p99_ms`, `failures`,
    `busy`: the load generator's share of its core, `cpu_seconds`, …).
    """

    case: str
    subject: str
    value: float
    unit: str
    rounds: tuple[float, ...] = ()
    more: Mapping[str, float | int | str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was promised of a case, and whether it was met: `found` against `least` (or `most`).
    `against` names the other side.
    """

    case: str
    against: str
    found: float
    least: float | None = None
    most: float | None = None
    unit: str = "times"

    @property
    def met(self) -> bool:
        return (self.least is None or self.found >= self.least) and (
            self.most is None or self.found <= self.most
        )


@dataclass(slots=True, kw_only=True)
class Section:
    """All of one module of `benchmarks.cases`. `notes` are whole sentences for the reader: how it
    was set up, what was absent.
    """

    name: str
    figures: list[Figure] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Section":
        found: dict[str, Any] = json.loads(path.read_text())
        return cls(
            name=found["name"],
            figures=[Figure(**figure) for figure in found["figures"]],
            targets=[Target(**target) for target in found["targets"]],
            notes=found["notes"],
            versions=found["versions"],
        )


def versions(*distributions: str) -> dict[str, str]:
    """`absent` is what is not installed: never guessed."""
    return {"python": platform.python_version(), **dict(map(_version, distributions))}


def _version(distribution: str) -> tuple[str, str]:
    try:
        return distribution, importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return distribution, "absent"


def missed(sections: Iterable[Section]) -> list[Target]:
    return [target for section in sections for target in section.targets if not target.met]
