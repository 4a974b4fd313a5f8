"""`make torture`: everything that may go wrong goes wrong, and the accounts are checked."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from torture import result
from torture.proxy import Fault
from torture.result import Result
from torture.scenarios.application import TROUBLES, application
from torture.scenarios.garbage import garbage_at_the_doors, garbage_from_outside
from torture.scenarios.kills import POINTS, kills
from torture.scenarios.late_store import late_store
from torture.scenarios.order import order
from torture.scenarios.outage import database_away
from torture.scenarios.valkey_away import valkey_away
from torture.world import World

Scenario = Callable[[World], Awaitable[Result]]
_AWAY_SECONDS = 60.0


def scenarios(rounds: int, away_seconds: float) -> dict[str, list[Scenario]]:
    """By the name by which one can be chosen."""
    return {
        "order": [lambda world: order(world, rounds=max(1, rounds // 20))],
        "kills": [lambda world: kills(world, rounds=rounds, points=POINTS)],
        "database": [
            lambda world: database_away(world, seconds=away_seconds),
            lambda world: database_away(world, seconds=away_seconds / 4, fault=Fault.DROP),
            lambda world: database_away(world, seconds=away_seconds / 10, fault=Fault.RESET),
        ],
        "application": [_troubled(number) for number in range(len(TROUBLES))],
        "valkey": [valkey_away],
        "store": [lambda world: late_store(world, uploads=20)],
        "garbage": [garbage_at_the_doors, garbage_from_outside],
    }


def _troubled(number: int) -> Scenario:
    return lambda world: application(world, TROUBLES[number])


async def run(chosen: list[Scenario], directory: Path) -> AsyncIterator[Result]:
    async with World.opened(directory) as world:
        for scenario in chosen:
            yield await scenario(world)


async def torture(chosen: list[Scenario]) -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory(prefix="torture-") as directory:
        async for each in run(chosen, Path(directory)):
            print(f"{each.scenario}: {each.seconds:.0f} s", file=sys.stderr)
            results.append(each)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="Rounds with a kill -9 in each.")
    parser.add_argument("--away", type=float, default=_AWAY_SECONDS, help="Seconds.")
    options, names = parser.parse_known_args()
    known = scenarios(options.rounds, options.away)
    if unknown := set(names) - known.keys():
        parser.error(f"no scenarios: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    since = time.monotonic()
    results = asyncio.run(torture([each for name in names or known for each in known[name]]))
    print(result.table(results))
    for lines in filter(None, map(result.told, results)):
        print(lines)
    print(f"{time.monotonic() - since:.0f} s in all")
    return 0 if all(each.good for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
