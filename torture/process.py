"""`uploadgate serve` as its own process, which can be killed and started again."""

import asyncio
import contextlib
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

_ROOT = Path(__file__).parents[1]
_START_SECONDS = 120.0  # on a machine that has much else to do
_STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_TOLD = 3000


@dataclass
class ServiceProcess:
    """With these settings; its log goes to a file."""

    port: int
    log: Path
    environment: dict[str, str] = field(repr=False)
    _process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Returns once it is ready. Raises RuntimeError with the end of its log."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cli.main", "serve"),
                env={"PATH": os.environ["PATH"], **self.environment},
                cwd=_ROOT,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _START_SECONDS
        async with httpx.AsyncClient(trust_env=False, base_url=self.url, timeout=5) as client:
            while not await _is_ready(client):
                if not self.lives or time.monotonic() > end:
                    raise RuntimeError(f"no replica: {self.log.read_text()[-_TOLD:]}")
                await asyncio.sleep(_LOOK_SECONDS)

    async def kill(self) -> None:
        """As a machine that loses its power."""
        if self._process is not None and self.lives:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """As an orchestrator stops it."""
        if self._process is None or not self.lives:
            return
        self._process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            await self._process.wait()


async def _is_ready(client: httpx.AsyncClient) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return (await client.get("/readyz")).status_code == httpx.codes.OK
    return False
