"""The service as a process of its own, exactly as `uploadgate serve` runs anywhere else."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx

import cli
from cli.demo.keepsakes import Keepsakes
from localcloud import guardian

LOOPBACK = "127.0.0.1"
_READY_SECONDS = 60
_GRACE_SECONDS = 10
_STOP_SECONDS = 30
_ROOT = Path(cli.__file__).parent.parent
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT")


class ServiceFailedError(Exception):
    """It ended, or did not become ready."""


def free_port(preferred: int) -> int:
    """The preferred port, or the next free one after it."""
    for port in (*range(preferred, min(preferred + 20, 65_536)), 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            taken: int = probe.getsockname()[1]
            return taken
    raise ServiceFailedError("there is no free port on the loopback interface")


def environment(
    keepsakes: Keepsakes, url: str, port: int, cloud: Mapping[str, str]
) -> dict[str, str]:
    """Everything that the service gets to see of this process's environment. Holds secrets."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {
        **inherited,
        **cloud,
        **variables(keepsakes),
        "UPLOADGATE_PUBLIC_URL": url,
        "UPLOADGATE_HTTP__HOST": LOOPBACK,
        "UPLOADGATE_HTTP__PORT": str(port),
        "UPLOADGATE_AUTH__SIGNING_KEY": keepsakes.signing_key(),
        "UPLOADGATE_DRAIN_SECONDS": "0.5",
    }


def variables(keepsakes: Keepsakes) -> dict[str, str]:
    """What a command that manages webhooks needs of it. Holds no secret."""
    return {
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_DATABASE__URL": f"sqlite+aiosqlite:///{keepsakes.database}",
        # The demo's application listens on this machine alone.
        "UPLOADGATE_DELIVERY__ALLOWED_NETWORKS": f'["{LOOPBACK}/32"]',
        "UPLOADGATE_DELIVERY__ALLOW_HTTP": "true",
    }


class ServiceProcess:
    """The running service. `pid` is its own, not its guardian's."""

    def __init__(self, process: asyncio.subprocess.Process, pid_file: Path) -> None:
        self._process = process
        self._pid_file = pid_file

    @property
    def pid(self) -> int:
        return int(self._pid_file.read_text("ascii"))

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, url: str, env: Mapping[str, str], keepsakes: Keepsakes
    ) -> AsyncIterator["ServiceProcess"]:
        """Ready to serve; drained and stopped at the end. Raises ServiceFailedError."""
        service = cls(await _spawn(env, keepsakes), keepsakes.service_pid)
        try:
            await service._until_ready(url)
            yield service
        finally:
            await service.stop()

    async def ended(self) -> int:
        return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, as an orchestrator stops a replica, and what it takes if that is not enough."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            if self._process.stdin is not None:
                self._process.stdin.close()  # the guardian's sign to kill it if need be
            await self._process.wait()

    async def _until_ready(self, url: str) -> None:
        ended = asyncio.ensure_future(self.ended())
        ready = asyncio.ensure_future(_ready(url))
        try:
            await asyncio.wait(
                {ended, ready}, timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if ended.done():
                raise ServiceFailedError(f"the service ended at its start ({ended.result()})")
            if not ready.done():
                raise ServiceFailedError(f"the service was not ready after {_READY_SECONDS} s")
        finally:
            ready.cancel()
            ended.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)


async def _spawn(env: Mapping[str, str], keepsakes: Keepsakes) -> asyncio.subprocess.Process:
    # The guardian ends the service also when this process dies without a chance to do it.
    command = (sys.executable, "-IS", guardian.__file__)
    with keepsakes.service_log.open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *command,
            *(str(_GRACE_SECONDS), str(keepsakes.service_pid), ""),
            *(sys.executable, "-m", "cli.main", "serve"),
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=_ROOT,
            env=dict(env),
            start_new_session=True,  # the terminal's Ctrl-C is for the demo, which stops it
        )


async def _ready(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=2) as http:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await http.get("/readyz")).is_success:
                    return
            await asyncio.sleep(0.05)
