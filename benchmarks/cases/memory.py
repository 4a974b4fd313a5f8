"""What one worker keeps in memory: idle event streams, checked sessions, cached OpenID tokens."""

import asyncio
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import idle_streams, members, raw_load
from benchmarks.footprint import MIB, processor_seconds, resident
from benchmarks.grant_stage import GrantStage, Server, grant_stage
from benchmarks.record import Figure, Section, versions
from benchmarks.report import run_case

CASE = "memory of one worker"
START, STREAMS, SESSIONS, TOKENS = (
    "at start",
    "idle event streams",
    "checked sessions",
    "cached OpenID tokens",
)
_STREAMS = 10_000
_SESSIONS = 50_000  # as many as `auth.session_cache` keeps
_TOKENS = 100_000  # as many as `cognito.token_cache` keeps
_CONNECTIONS = 32
_IDLE_SECONDS = 30.0
_SPARE_FILES = 500
# Every user is to have a token, however long it takes.
_SETTINGS = {
    "COGNITO__CALLS_PER_SECOND": "0",
    "COGNITO__TOKEN_SECONDS": "86400",
    "COGNITO__WAIT_SECONDS": "30",
    "COGNITO__CALL_TIMEOUT_SECONDS": "30",
}
_KIB = 1024
_NOTES = (
    "Resident memory (VmRSS) with all of them, less that before, divided by their number.",
    "Every stream, session and token is another user's. Postgres, log level warning.",
    "One round: what is kept does not vary.",
)


async def measure(
    rounds: int,  # noqa: ARG001 - what is kept does not vary
    *,
    streams: int = _STREAMS,
    sessions: int = _SESSIONS,
    tokens: int = _TOKENS,
) -> Section:
    with tempfile.TemporaryDirectory() as name:
        async with grant_stage(Path(name)) as stage:
            figures = await _streams(stage, _allowed(stage, streams))
            figures += await _tokens(stage, sessions, tokens)
    return Section(
        name="memory",
        figures=figures,
        notes=[
            *_NOTES,
            *stage.absent,
        ],
        versions=versions("fastapi", "uvicorn", "aioboto3", "asyncpg"),
    )


def _allowed(stage: GrantStage, count: int) -> int:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_FILES
    if files < count:
        stage.absent.append(f"{files:,} streams only: the system allows no more open files.")
    return min(files, count)


async def _streams(stage: GrantStage, count: int) -> list[Figure]:
    server = await stage.ours(await stage.database(), **_SETTINGS)
    warm = members.tokens(stage.key, count + 1)[count:]
    async with idle_streams.opened(server.port, warm):
        start = resident(server.pid)
    async with idle_streams.opened(server.port, members.tokens(stage.key, count)):
        after = resident(server.pid)
        used = processor_seconds(server.pid)
        await asyncio.sleep(_IDLE_SECONDS)
        busy = (processor_seconds(server.pid) - used) / _IDLE_SECONDS
    at_start = Figure(case=CASE, subject=START, value=start / MIB, unit="MiB")
    return [at_start, _each(STREAMS, count, start, after, busy=busy)]


async def _tokens(stage: GrantStage, sessions: int, tokens: int) -> list[Figure]:
    """The cache of sessions is full before tokens come, so that they are not counted twice."""
    server = await stage.ours(await stage.database(), **_SETTINGS)
    users = members.tokens(stage.key, sessions)
    await _asked(server, [_me(users[0])] * 1000 + stage.requests(range(1)))
    start = resident(server.pid)
    await _asked(server, [_me(token) for token in users])
    between = resident(server.pid)
    found = await _asked(server, stage.requests(range(1, tokens + 1)))
    if any(b'"presigned"' in body for body in found.bodies):
        raise RuntimeError("not every user got a token")
    after = resident(server.pid)
    return [
        _each(SESSIONS, sessions, start, between),
        _each(TOKENS, tokens, between, after, filled_per_second=found.per_second),
    ]


def _me(token: str) -> bytes:
    head = f"GET /v1/auth/me HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    return head.encode()


async def _asked(server: Server, requests: Sequence[bytes]) -> raw_load.Run:
    found = await raw_load.run("127.0.0.1", server.port, requests, connections=_CONNECTIONS)
    if found.failures:
        raise RuntimeError(f"{found.failures} of {len(requests)} requests failed")
    return found


def _each(subject: str, count: int, before: int, after: int, **more: float) -> Figure:
    return Figure(
        case=CASE,
        subject=f"{count:,} {subject}",
        value=(after - before) / count / _KIB,
        unit="KiB each",
        more={"count": count, "before_mib": before / MIB, "resident_mib": after / MIB, **more},
    )


def main() -> int:
    return run_case("memory", measure)


if __name__ == "__main__":
    sys.exit(main())
