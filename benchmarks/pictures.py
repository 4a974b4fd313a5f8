"""`python -m benchmarks.pictures`: docs/performance/*.svg, drawn from what `make bench` found last,
and the figures in docs/performance.md and README.md.

Each picture says one thing, in its title, with the figures it was drawn from. What was not measured
has no picture.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.drawing import Bar, Panel, draw
from benchmarks.quoted import fill
from benchmarks.record import Figure, Section, Target
from benchmarks.report import number
from benchmarks.stage import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
DOCS = ROOT / "docs"
_FRONT = "../README.md"
_OURS = "uploadgate"
_BURST = 5000


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    title: str
    panels: Sequence[Panel]


def warm_grant(figures: Sequence[Figure]) -> Picture | None:
    found = _of(figures, "warm grant")
    ours, checks = _first(found, _OURS), _first(found, "a FastAPI route")
    if ours is None or checks is None:
        return None
    ratio = ours.value / checks.value
    title = f"A grant from the cache: {ratio:.1f} times as fast as a route that checks its caller"
    return Picture("warm-grant", title, [Panel("requests/s on one core", _bars(found))])


def burst(figures: Sequence[Figure]) -> Picture | None:
    found = [one for one in _of(figures, "burst of 5,000") if one.unit == "requests/s"]
    livez = {one.subject: one for one in _of(figures, "/livez meanwhile")}
    ours, flask = _first(found, _OURS), _first(found, "Flask")
    if ours is None or flask is None or not all(one.subject in livez for one in found):
        return None
    ratio = ours.value / flask.value
    title = f"5,000 at once, Cognito takes 200 ms: {ratio:.0f} times Flask with boto3"
    meanwhile = _bars([livez[one.subject] for one in found])
    bars = [replace(bar, more=_fewer(one)) for one, bar in zip(found, _bars(found), strict=True)]
    panels = [
        Panel("requests answered a second", bars),
        Panel("p99 of /livez meanwhile, ms", meanwhile),
    ]
    return Picture("burst", title, panels)


def _fewer(figure: Figure) -> str:
    """Those who would take minutes over all of them are given fewer, and that is said."""
    count = figure.more.get("at_once", _BURST)
    return "" if count == _BURST else f"  (of {number(float(count or 0))})"


def old_way(figures: Sequence[Figure]) -> Picture | None:
    found = [one for one in figures if one.unit == "CPU s/GiB"]
    ours, flask = _first(found, _OURS), _first(found, "Flask")
    if ours is None or flask is None:
        return None
    ratio = flask.value / ours.value
    title = f"Files that pass the server by: {ratio:.0f} times less of its CPU for each GiB"
    panels = [
        Panel("CPU seconds a GiB", _bars(found)),
        Panel("memory at most, MiB", _bars(found, "memory_mib")),
        Panel("p99 of another call, ms", _bars(found, "other_p99_ms")),
    ]
    return Picture("old-way", title, panels)


def signing(figures: Sequence[Figure]) -> Picture | None:
    found = [one for one in figures if re.fullmatch(r"sign (one part|\d+ parts)", one.case)]
    cases = list(dict.fromkeys(one.case for one in found))
    ratios = [_over_companion([one for one in found if one.case == case]) for case in cases]
    if not cases or None in ratios:
        return None
    told = ", ".join(
        f"{ratio or 0:.2g} times for {case.removeprefix('sign ')}"
        for case, ratio in zip(cases, ratios, strict=True)
    )
    bars = [
        Bar(f"{one.case}: {one.subject}", one.value, one.subject.startswith(_OURS)) for one in found
    ]
    title = f"Signing against Companion, with caller and record checked: {told}"
    return Picture("signing", title, [Panel("requests/s on one core, logarithmic", bars, log=True)])


def _over_companion(figures: Sequence[Figure]) -> float | None:
    """The slowest of ours counts."""
    theirs = _first(figures, "@uppy/companion")
    ours = [one.value for one in figures if one.subject.startswith(_OURS)]
    return None if theirs is None or not ours else min(ours) / theirs.value


def upload(figures: Sequence[Figure]) -> Picture | None:
    found = [one for one in _of(figures, "upload of 1,024 MiB") if one.unit == "MiB/s"]
    ours = _first(found, _OURS)
    others = [one.value for one in found if not one.subject.startswith(_OURS)]
    if ours is None or not others:
        return None
    ratio = ours.value / max(others)
    title = f"1 GiB by `uploadgate upload`: {ratio:.2f} times the fastest of boto3 and awscrt"
    return Picture("upload", title, [Panel("MiB/s into the same store", _bars(found))])


def memory(figures: Sequence[Figure]) -> Picture | None:
    found = _of(figures, "memory of one worker")
    start = next((one for one in found if one.unit == "MiB"), None)
    each = [one for one in found if one.unit == "KiB each"]
    if start is None or not each:
        return None
    bars = [Bar(start.subject, start.value, ours=True)]
    for one in each:
        resident = float(one.more["resident_mib"] or 0)
        bars.append(Bar(one.subject, resident, ours=True, more=f"  ({number(one.value)} KiB each)"))
    title = f"One worker with {bars[1].label} takes {number(bars[1].value)} MiB"
    return Picture("memory", title, [Panel("resident memory, MiB", bars)])


_PICTURES: Sequence[Callable[[Sequence[Figure]], Picture | None]] = (
    *(warm_grant, burst, old_way),
    *(signing, upload, memory),
)


def pictures(figures: Sequence[Figure]) -> list[Picture]:
    return [picture for make in _PICTURES if (picture := make(figures)) is not None]


def _of(figures: Sequence[Figure], case: str) -> list[Figure]:
    return [one for one in figures if case in one.case]


def _first(figures: Sequence[Figure], subject: str) -> Figure | None:
    return next((one for one in figures if one.subject.startswith(subject)), None)


def _bars(figures: Sequence[Figure], name: str | None = None) -> list[Bar]:
    """Of the value, or of one of those seen besides."""
    return [
        Bar(
            one.subject,
            one.value if name is None else float(one.more[name] or 0),
            one.subject.startswith(_OURS),
        )
        for one in figures
    ]


def read(path: Path) -> list[Section]:
    found = json.loads(path.read_text())
    sections = found["sections"] if isinstance(found, dict) else found
    return [
        Section(
            name=section["name"],
            figures=[Figure(**figure) for figure in section["figures"]],
            targets=[Target(**target) for target in section["targets"]],
        )
        for section in sections
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    refresh(options.results, options.docs)
    return 0


def refresh(results: Path, docs: Path) -> None:
    """The pictures, and the figures in the texts."""
    sections = read(results)
    folder = docs / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures([figure for section in sections for figure in section.figures]):
        draw(folder / f"{picture.name}.svg", picture.title, picture.panels)
        print(f"drawn: {picture.name}")
    for page in filter(Path.exists, (docs / "performance.md", docs / _FRONT)):
        text, missing = fill(page.read_text(), sections)
        page.write_text(text)
        for what in missing:
            print(f"not measured: {what}")


if __name__ == "__main__":
    sys.exit(main())
