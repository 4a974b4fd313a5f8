"""A Valkey or Redis of one's own, where one is installed."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from tests.fakes.short_folder import short_folder

SERVER = next(filter(None, map(shutil.which, ("valkey-server", "redis-server"))), None)
_PATIENCE = 60.0


@contextlib.asynccontextmanager
async def running_valkey() -> AsyncIterator[Path]:
    """Its Unix socket; it listens nowhere else and keeps nothing."""
    if SERVER is None:
        raise RuntimeError("neither valkey-server nor redis-server is installed")
    with short_folder("vk-") as folder:
        socket = folder / "s"
        options = ("--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder))
        process = await asyncio.create_subprocess_exec(
            *(SERVER, *options), stdout=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                while not socket.exists():  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)
            yield socket
        finally:
            process.terminate()
            await process.wait()
