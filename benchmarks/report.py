"""What `make bench` prints: one table of what was found, and what was promised of it."""

import argparse
import os
import platform
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import uvloop

from benchmarks.record import Figure, Section, Target, missed

Measure = Callable[[int], Awaitable[Section]]
_WHOLE = 100  # from here on, decimals say nothing
_HEAD = ("case", "what", "value", "against", "target", "met")
_ALIGNED = ("---", "---", "--:", "---", "--:", "---")


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:,.3g}"


def table(sections: Iterable[Section]) -> str:
    """In Markdown. A section's figures come first, then what was promised of them."""
    rows: list[tuple[str, ...]] = [_HEAD, _ALIGNED]
    for section in sections:
        rows += [_figure(figure) for figure in section.figures]
        rows += [_target(target) for target in section.targets]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _figure(figure: Figure) -> tuple[str, ...]:
    value = f"{number(figure.value)} {figure.unit}"
    return figure.case, figure.subject, value, "", "", ""


def _target(target: Target) -> tuple[str, ...]:
    bounds = [
        f"{sign} {number(bound)}"
        for sign, bound in (("≥", target.least), ("≤", target.most))
        if bound is not None
    ]
    value = f"{number(target.found)} {target.unit}"
    met = "yes" if target.met else "**no**"
    return target.case, "uploadgate", value, target.against, ", ".join(bounds), met


def more(sections: Iterable[Section]) -> str:
    """What was seen besides, a line for each figure that has something to say."""
    lines = [
        f"- {figure.case}, {figure.subject}: "
        + ", ".join(f"{name} {_plain(value)}" for name, value in figure.more.items())
        for section in sections
        for figure in section.figures
        if figure.more
    ]
    return "\n".join(lines)


def _plain(value: float | str | None) -> str:
    if isinstance(value, str) or value is None:
        return value or "none"
    return number(value)


def notes(sections: Iterable[Section]) -> str:
    return "\n".join(f"- {section.name}: {note}" for section in sections for note in section.notes)


def versions(sections: Iterable[Section]) -> dict[str, str]:
    return {name: text for section in sections for name, text in section.versions.items()}


def machine() -> str:
    """Model, cores, memory, kernel: what a figure is worth without it is nothing."""
    try:
        told = Path("/proc/cpuinfo").read_text()
        model = told.split("model name")[1].partition(":")[2].partition("\n")[0].strip()
    except (OSError, IndexError):
        model = platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def verdict(sections: Iterable[Section]) -> str:
    found = missed(sections)
    if not found:
        return "Every target of what was measured is met."
    lines = [f"{len(found)} targets are MISSED:"]
    for target in found:
        _, _, value, against, bound, _ = _target(target)
        lines.append(f"- {target.case}: {value} against {against}, promised {bound}")
    return "\n".join(lines)


def run_case(name: str, measure: Measure) -> int:
    """The command line of one case's module. Missed targets are told, not failed by."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.cases.{name}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="Write what was found here.")
    options = parser.parse_args()

    async def measured() -> Section:
        return await measure(options.rounds)

    section = uvloop.run(measured())
    for part in (table([section]), more([section]), notes([section]), verdict([section])):
        if part:
            print(part, end="\n\n")
    print(", ".join(f"{name} {version}" for name, version in section.versions.items()))
    if options.json is not None:
        section.write(options.json)
    return 0
