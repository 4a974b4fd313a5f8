"""Tables of a million rows: what the service does in them takes as long at the end as at the
beginning, in memory that stays as it is.

The rows are made by the database itself; everything else goes through the service's own
repositories, in this process, whose memory is looked at meanwhile.
"""

import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from benchmarks.millions import events, inbox, rows, uploads
from benchmarks.millions.fill import filled
from benchmarks.millions.work import CASE
from benchmarks.record import Figure, Section, Target, versions
from benchmarks.report import run_case
from benchmarks.webhook_stage import databases
from state import schema
from state.database import Database

_COUNT = 1_000_000
_SPREAD, _DELIVERED = 100_000, 50_000
_SECONDS = 15.0  # for those
_FORGETTING_SECONDS = 40.0
_MOST_GROWTH = 16.0  # MiB
_SET_UP = (
    "Postgres with fsync. A million of each: events of the inbox that wait and that are past; "
    "events to be spread; deliveries that wait, at four endpoints; old events whose deliveries are "
    "done, while those wait that were just spread; records of uploads, of which 5,000 are due, "
    "half of them past their time, at a store that shows nothing and answers at once."
)
_BOUNDED = (
    f"Once, not by rounds. At most {_SPREAD:,} are spread and {_DELIVERED:,} delivered, within "
    f"{_SECONDS:.0f} s each; old events are forgotten for at most {_FORGETTING_SECONDS:.0f} s."
)
_READ = (
    "`read_each` is how many rows of the large tables Postgres read for one row of work, "
    "`read_in_sequence` those among all that it read without an index, by its own counters."
)


async def measure(
    rounds: int,  # noqa: ARG001 - every call is a round here
    *,
    count: int = _COUNT,
) -> Section:
    with tempfile.TemporaryDirectory() as directory:
        async with databases(["postgres"], Path(directory)) as urls:
            figures = [figure async for figure in _figures(urls["postgres"], count)]
    return Section(
        name="million_rows",
        figures=figures,
        targets=targets(figures),
        notes=[_SET_UP, _BOUNDED, _READ],
        versions=versions("sqlalchemy", "asyncpg"),
    )


async def _figures(url: str, count: int) -> AsyncIterator[Figure]:
    async with Database.opened(url) as database:
        await schema.upgrade(database)
    await filled(url, count, ["inbox"], rows.INBOX_DONE, rows.INBOX_WAITING)
    yield _whole(await inbox.settled(url, count), count)
    yield _whole(await inbox.forgotten(url, count), count)
    await filled(url, count, ["webhook_endpoints"], rows.ENDPOINTS)
    await filled(url, count, ["events"], rows.EVENTS_OLD, rows.EVENTS_NEW)
    await filled(url, count, ["deliveries"], rows.DELIVERIES_WAITING)
    yield await events.spread(url, most=_SPREAD, seconds=_SECONDS)
    yield await events.delivered(url, most=_DELIVERED, seconds=_SECONDS)
    await filled(url, count, ["deliveries"], rows.DELIVERIES_DONE)
    yield await events.forgotten(url, seconds=_FORGETTING_SECONDS)
    await filled(url, count, ["uploads"], rows.UPLOADS)
    await filled(url, count, ["usage"], rows.USAGE)
    yield await uploads.swept(url, due=rows.DUE)


def _whole(figure: Figure, count: int) -> Figure:
    if figure.more["rows"] != count:
        raise RuntimeError(f"{figure.subject}: {figure.more['rows']} of {count}")
    return figure


def targets(figures: Sequence[Figure]) -> list[Target]:
    growth = max(_seen(figures, "growth_mib"))
    read = sum(_seen(figures, "read_in_sequence"))
    memory = "a bound: memory at the end, less that after a tenth"
    return [
        Target(case=CASE, against=memory, found=growth, most=_MOST_GROWTH, unit="MiB"),
        Target(case=CASE, against="a bound: without an index", found=read, most=0, unit="rows"),
    ]


def _seen(figures: Sequence[Figure], name: str) -> list[float]:
    return [float(figure.more[name] or 0) for figure in figures]


def main() -> int:
    return run_case("million_rows", measure)


if __name__ == "__main__":
    sys.exit(main())
