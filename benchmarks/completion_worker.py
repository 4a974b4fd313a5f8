"""`uploadgate worker`'s completion alone, as the service wires it, until it is stopped. It begins
when it reads a line.
"""

import asyncio
import sys

import uvloop

import logs
from service.delivery.ports import to_nobody
from settings import Settings
from wiring.completion import completion_of, settlement_of
from wiring.parts import opened_database, opened_parts
from wiring.uploads import completing_of


async def work() -> None:
    settings = Settings()
    logs.configure(settings.log_level, settings.log_format)
    async with (
        opened_database(settings) as database,
        opened_parts(settings, database, to_nobody, redis=None) as parts,
    ):
        settlement = settlement_of(parts)
        completion = completion_of(parts, settlement, completing_of(parts, settlement))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await completion.run()


if __name__ == "__main__":
    uvloop.run(work())
