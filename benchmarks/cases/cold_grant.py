"""A grant of a user never seen before, at a Cognito that answers at once: what the service adds to
one call.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks import raw_load
from benchmarks.footprint import processes, processor_seconds
from benchmarks.grant_stage import GrantStage, Server, grant_stage
from benchmarks.peers.catalogue import PEERS
from benchmarks.record import Section, versions
from benchmarks.report import run_case
from benchmarks.rounds import Rounds

_CONNECTIONS = 32
_SECONDS = 1.5
_MOST = 4000  # users a round
_NOTE = (
    f"{_CONNECTIONS} connections, every request another user's, whose token nobody has checked "
    "before; the service writes each identity to Postgres. The peers check nobody and write "
    "nothing."
)
_OURS, _BARE = "uploadgate", PEERS["bare"].title


async def measure(rounds: int) -> Section:
    found = Rounds("cold grant", "requests/s")
    with tempfile.TemporaryDirectory() as name:
        async with grant_stage(Path(name)) as stage:
            servers = await _servers(stage)
            for number in range(rounds + 1):  # the first one warms
                for title, server in servers.items():
                    await _one(found if number else None, stage, title, server, number)
    return Section(
        name="cold_grant",
        figures=found.figures(),
        targets=found.at_least(0.85, _OURS, _BARE),
        notes=[_NOTE, *stage.absent],
        versions=versions("fastapi", "uvicorn", "aioboto3", "botocore", "boto3", "asyncpg"),
    )


async def _servers(stage: GrantStage) -> dict[str, Server]:
    found = {}
    for peer in ("bare", "threads"):
        if server := await stage.peer(peer):
            found[PEERS[peer].title] = server
    found[_OURS] = await stage.ours(await stage.database(), COGNITO__CALLS_PER_SECOND="0")
    return found


async def _one(
    found: Rounds | None, stage: GrantStage, title: str, server: Server, number: int
) -> None:
    requests = stage.requests(range(number * _MOST, (number + 1) * _MOST))
    await stage.upstream.control(reset=True)
    used = sum(map(processor_seconds, processes(server.pid)))
    sent = raw_load.lasting(requests, _SECONDS)
    run = await raw_load.run("127.0.0.1", server.port, sent, connections=_CONNECTIONS)
    used = sum(map(processor_seconds, processes(server.pid))) - used
    counts = await stage.upstream.counts()
    if counts["calls"] != len(run.took) or run.failures:
        raise RuntimeError(f"{title}: {counts}, answers {run.statuses}")
    if found is not None:
        found.add(
            title,
            run.per_second,
            median_ms=run.median_ms,
            p99_ms=run.p99_ms,
            cpu_us=used / len(run.took) * 1e6,
            server_busy=used / run.seconds,
            load_busy=run.busy,
            presigned=sum(b'"presigned"' in body for body in run.bodies),
        )


def main() -> int:
    return run_case("cold_grant", measure)


if __name__ == "__main__":
    sys.exit(main())
