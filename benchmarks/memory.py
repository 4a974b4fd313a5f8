"""`python -m benchmarks.memory`: an inbox of millions of rows, in memory that stays as it is.

A million events that are done and past their time, a million that wait. All that wait are claimed
and settled in batches, all that are past are forgotten, and this process's memory is looked at
meanwhile. The rows are made by the database itself.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.webhook_stage import databases
from service.clock import utc_now
from state import schema
from state.database import Database
from state.inbox import SqlInbox

_WORKER = "benchmark"
_MOST_GROWTH = 16.0  # MiB, between the first tenth of the work and its end
_COLUMNS = (
    "source, dedupe_key, bucket, key, size, etag, sequencer, raw, received_at, attempts, due_at,"
    " done_at, failed, outcome"
)
_VALUES = (
    "'sns', {kind} || '-' || n, 'uploads', 'us-east-1:0/upl_' || n || '/a.txt', 5, 'etag', '0',"
    " {raw}, {at}, 1, {at}, {done}, {false}, NULL"
)
_NUMBERS = {
    "postgresql": "generate_series(1, {count}) AS numbers(n)",
    "sqlite": "numbers",
}
_RECURSIVE = (
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "
)


@dataclass
class Work:
    """What one kind of call took, and this process's memory (MiB) along the way."""

    rows: int = 0
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def told(self) -> dict[str, float]:
        tenth = max(1, len(self.seconds) // 10)
        return {
            "rows": self.rows,
            "calls": len(self.seconds),
            "rows_per_second": self.rows / sum(self.seconds),
            "first_ms": statistics.median(self.seconds[:tenth]) * 1000,
            "last_ms": statistics.median(self.seconds[-tenth:]) * 1000,
            "longest_ms": max(self.seconds) * 1000,
            "memory_after_a_tenth": self.memory[tenth - 1],
            "memory_at_the_end": self.memory[-1],
            "memory_at_most": max(self.memory),
        }


def memory() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def fill(database: Database, count: int, *, done: bool) -> None:
    dialect = database.engine.dialect.name
    past = "'2020-01-01 00:00:00.000000'" if dialect == "sqlite" else "timestamptz '2020-01-01Z'"
    values = _VALUES.format(
        kind="'done'" if done else "'waits'",
        raw="'" + "x" * 500 + "'",
        at=past,
        done=past if done else "NULL",
        false="0" if dialect == "sqlite" else "false",
    )
    prefix = _RECURSIVE.format(count=count) if dialect == "sqlite" else ""
    numbers = _NUMBERS[dialect].format(count=count)
    async with database.transaction() as connection:
        if dialect == "postgresql":
            # Longer than any statement of the service's.
            driver: Any = (await connection.get_raw_connection()).driver_connection
            statement = f"INSERT INTO inbox ({_COLUMNS}) SELECT {values} FROM {numbers}"  # noqa: S608
            await driver.execute(statement, timeout=3600)
        else:
            statement = f"INSERT INTO inbox ({_COLUMNS}) {prefix}SELECT {values} FROM {numbers}"  # noqa: S608
            await connection.execute(text(statement))


async def worked(call: Callable[[], Awaitable[int]]) -> Work:
    """Calls until there is nothing left."""
    work = Work()
    while True:
        began = time.perf_counter()
        rows = await call()
        if not rows:
            return work
        work.seconds.append(time.perf_counter() - began)
        work.memory.append(memory())
        work.rows += rows


async def plan(database: Database) -> str:
    """How Postgres finds what is due."""
    if not database.is_postgres:
        query = "EXPLAIN QUERY PLAN SELECT id FROM inbox WHERE done_at IS NULL AND due_at <= '2030'"
    else:
        query = "EXPLAIN SELECT id FROM inbox WHERE done_at IS NULL AND due_at <= now()"
    async with database.transaction() as connection:
        if database.is_postgres:
            await connection.exec_driver_sql("ANALYZE inbox")
        found = await connection.exec_driver_sql(f"{query} ORDER BY due_at, id LIMIT 50")
        return "\n".join(str(row[-1]) for row in found)


async def measure(url: str, count: int, batch: int) -> dict[str, Any]:
    async with Database.opened(url) as database:
        await schema.upgrade(database)
        for done in (True, False):
            await fill(database, count, done=done)
        inbox = SqlInbox(database, limit=10 * count)
        found = {"plan": await plan(database)}

        async def settle() -> int:
            now = utc_now()
            claimed = await inbox.claim(_WORKER, now, until=now + timedelta(hours=1), limit=batch)
            await inbox.settle_all(claimed, _WORKER, "completed", now)
            return len(claimed)

        async def forget() -> int:
            return await inbox.forget(utc_now() - timedelta(days=1))

        settled, forgotten = await worked(settle), await worked(forget)
        return {**found, "settled": settled.told(), "forgotten": forgotten.told()}


def flat(found: dict[str, Any], count: int) -> bool:
    """All the rows, and no more memory at the end than near the beginning."""
    return "ix_inbox_waiting" in found["plan"] and all(
        work["rows"] == count
        and work["memory_at_the_end"] - work["memory_after_a_tenth"] < _MOST_GROWTH
        for work in (found["settled"], found["forgotten"])
    )


async def run(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        async with databases(options.databases, Path(name)) as urls:
            return {
                kind: await measure(url, options.count, options.batch) for kind, url in urls.items()
            }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--count", type=int, default=1_000_000, help="Of each kind of rows.")
    parser.add_argument("--batch", type=int, default=500, help="Events claimed at once.")
    parser.add_argument("--databases", nargs="+", default=["postgres"])
    parser.add_argument("--json", type=Path, help="Write the figures here too.")
    options = parser.parse_args()
    found = asyncio.run(run(options))
    print(
        "| database | work | rows | rows/s | ms a call: first tenth, last | longest | MiB: a tenth"
        ", end, most |\n|---|---|--:|--:|--:|--:|--:|"
    )
    for kind, one in found.items():
        for name in ("settled", "forgotten"):
            work = {key: f"{value:,.0f}" for key, value in one[name].items()}
            sizes = "{memory_after_a_tenth}, {memory_at_the_end}, {memory_at_most}".format(**work)
            print(
                f"| {kind} | {name} | {work['rows']} | {work['rows_per_second']} |"
                f" {work['first_ms']}, {work['last_ms']} | {work['longest_ms']} | {sizes} |"
            )
    for kind, one in found.items():
        print(f"\n{kind}:\n{one['plan']}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0 if all(flat(one, options.count) for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
