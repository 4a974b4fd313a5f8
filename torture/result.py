"""What came of a scenario, and the table of all."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from torture.audit import Findings, audit
from torture.ledger import Ledger
from torture.world import World

_HEADS = (
    "scenario",
    "rounds",
    "acknowledged",
    "lost",
    "doubled",
    "quota drift",
    "messages",
    "repeats",
    "seconds",
)
_MOST_NOTES = 20


@dataclass(frozen=True)
class Result:
    scenario: str
    rounds: int
    found: Findings
    seconds: float
    remark: str = field(default="")

    @property
    def good(self) -> bool:
        """A scenario that has noted anything has failed, even where all counts are 0."""
        found = self.found
        return not (found.lost or found.doubled or found.drift or found.notes)

    @property
    def row(self) -> tuple[str, ...]:
        found = self.found
        counts = (self.rounds, found.acknowledged, found.lost, found.doubled, found.drift)
        heard = (found.messages, found.repeats)
        return (self.scenario, *map(str, counts + heard), f"{self.seconds:.0f}")


async def judged(
    scenario: str, world: World, ledger: Ledger, *, rounds: int, since: float, remark: str = ""
) -> Result:
    """`since` is of time.monotonic."""
    world.doing = f"{scenario}: waits until nothing moves, then counts"
    found = await audit(world, ledger)
    ended = [replica.service.url for replica in world.replicas if not replica.service.lives]
    found.notes += [f"{url} has ended" for url in ended]
    return Result(scenario, rounds, found, time.monotonic() - since, remark)


def table(results: Iterable[Result]) -> str:
    rows = [_HEADS, *(result.row for result in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


LEGEND = (
    "acknowledged: events of the store that were answered 2xx. lost: of these, of uploads and of\n"
    "messages, what is not where it belongs. doubled: events, records, transitions or messages\n"
    "that are there twice. quota drift: bytes and uploads by which usage and records differ.\n"
    "messages: what the application took, by id. repeats: what came again under an id it knows."
)


def verdict(results: Sequence[Result]) -> str:
    """In a sentence, for who reads nothing else."""
    bad = [_failed(result) for result in results if not result.good]
    if not bad:
        return "Nothing acknowledged was lost, nothing doubled, no quota adrift."
    return f"FAILED: {'; '.join(bad)}."


def _failed(result: Result) -> str:
    found = result.found
    counts = {"lost": found.lost, "doubled": found.doubled, "of quota drift": found.drift}
    said = [f"{count} {what}" for what, count in counts.items() if count]
    return f"{result.scenario} ({', '.join(said) or 'none lost or doubled, but see its lines'})"


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    first, *numbers = [
        cell.ljust(width) if n == 0 else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join([first, *numbers])


def told(result: Result) -> str:
    """What went wrong in it, and what is worth knowing besides."""
    lines = [result.remark] if result.remark else []
    lines += result.found.notes[:_MOST_NOTES]
    if (more := len(result.found.notes) - _MOST_NOTES) > 0:
        lines.append(f"… and {more} more")
    return "\n".join(f"{result.scenario}: {line}" for line in lines)
