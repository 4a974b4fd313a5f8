"""Everything that may go wrong goes wrong, and the accounts are checked."""

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from torture import result
from torture.options import chosen
from torture.repertoire import Scenario
from torture.result import Result
from torture.world import World

_TELL_SECONDS = 10.0


async def torture(scenarios: Sequence[Scenario]) -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory(prefix="torture-") as directory:
        _tell("Postgres, the store and two replicas start")
        async with World.opened(Path(directory)) as world, _progress(world):
            for scenario in scenarios:
                results.append(await scenario(world))
                _tell(f"{results[-1].scenario}: {results[-1].seconds:.0f} s")
    return results


@contextlib.asynccontextmanager
async def _progress(world: World) -> AsyncIterator[None]:
    """What it is at, again and again: a round may take long."""

    async def telling() -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            _tell(world.doing)

    task = asyncio.create_task(telling())
    try:
        yield
    finally:
        task.cancel()


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    scenarios = chosen(sys.argv[1:])
    # What it has started ends with it, also where a time limit ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    since = time.monotonic()
    results = asyncio.run(torture(scenarios))
    print(result.table(results))
    print(f"\n{result.LEGEND}\n")
    for lines in filter(None, map(result.told, results)):
        print(lines)
    print(f"{time.monotonic() - since:.0f} s in all")
    print(result.verdict(results))
    return 0 if all(each.good for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
