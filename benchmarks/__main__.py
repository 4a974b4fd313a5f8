"""`make bench`: every case of `benchmarks.cases` as a process of its own; what they found becomes
one table, one JSON file and one file of Markdown.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import pkgutil
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import benchmarks.cases
from benchmarks import pictures, report
from benchmarks.record import Section
from benchmarks.stage import ROOT

_RESULTS = ROOT / "benchmarks" / "results"
_TABLE = ROOT / "docs" / "performance-table.md"
_LONGEST_SECONDS = 900.0  # of one case
_LAST_SECONDS = 20.0  # for what is not done by then
_LAST_WORDS = 4000


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(benchmarks.cases.__path__))


async def measured(name: str, rounds: int, directory: Path) -> Section | str:
    """What the case found, or how it failed."""
    file = directory / f"{name}.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"benchmarks.cases.{name}"),
        *("--rounds", str(rounds), "--json", str(file)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # with whatever it starts
    )
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            told, _ = await process.communicate()
    except TimeoutError:
        await _interrupted(process)
        return f"not done after {_LONGEST_SECONDS:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode != 0 or not file.exists():
        words = told.decode(errors="replace")[-_LAST_WORDS:].replace(f"{ROOT}/", "")
        return f"exit code {process.returncode}\n{words}"
    return Section.read(file)


async def _interrupted(process: asyncio.subprocess.Process) -> None:
    """So that it can stop its databases, which have sessions of their own."""
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_SECONDS):
            await process.communicate()


async def run(chosen: list[str], rounds: int) -> tuple[list[Section], dict[str, str]]:
    """Those that were measured, and how the others failed."""
    sections, failed = [], {}
    with tempfile.TemporaryDirectory() as directory:
        for name in chosen:
            began = time.monotonic()
            found = await measured(name, rounds, Path(directory))
            if isinstance(found, Section):
                sections.append(found)
            else:
                failed[name] = found
            how = "measured" if name not in failed else "FAILED"
            print(f"{name}: {how} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return sections, failed


def page(sections: list[Section], failed: dict[str, str], rounds: int) -> str:
    """The Markdown that the documentation quotes."""
    versions = ", ".join(f"{name} {text}" for name, text in report.versions(sections).items())
    how = "the server on one core, everything else on another"
    parts = [
        "<!-- Written by `make bench`. -->",
        f"{report.machine()}: {how}. Medians of {rounds} rounds, {datetime.now(UTC):%Y-%m-%d}.",
        report.table(sections),
        "\n".join(f"- **{name} could not be measured.**" for name in failed),
        "What was seen besides:\n\n" + report.more(sections),
        "How it was set up:\n\n" + report.notes(sections),
        f"Versions: {versions}.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def told(sections: list[Section], failed: dict[str, str], rounds: int) -> str:
    found = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": report.machine(),
        "rounds": rounds,
        "versions": report.versions(sections),
        "sections": [dataclasses.asdict(section) for section in sections],
        "failed": failed,
    }
    return json.dumps(found, indent=2) + "\n"


def main() -> int:
    """1 only where something could not be measured: a missed target is told."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="Names of cases, with commas between them.")
    parser.add_argument("--json", type=Path, default=_RESULTS, help="Directory for the results.")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else names()
    if unknown := sorted(set(chosen) - set(names())):
        parser.error(f"no such cases: {', '.join(unknown)}; there are {', '.join(names())}")
    sections, failed = asyncio.run(run(chosen, options.rounds))
    written = page(sections, failed, options.rounds)
    print(written)
    options.json.mkdir(parents=True, exist_ok=True)
    results = options.json / ("only.json" if options.only else "latest.json")
    results.write_text(told(sections, failed, options.rounds))
    if not options.only and options.json == _RESULTS:
        _TABLE.write_text(written)
        pictures.refresh(results, pictures.DOCS)
    for name, why in failed.items():
        print(f"{name} could not be measured: {why}\n")
    print(report.verdict(sections) if sections else "Nothing was measured.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
