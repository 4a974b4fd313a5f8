"""A real Valkey or Redis that listens on a Unix socket only, and keeps nothing."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.short_folder import short_folder

PROGRAMS = ("valkey-server", "redis-server")
_START_SECONDS = 60.0  # on a machine that has much else to do
_OPTIONS = {"port": "0", "save": "", "appendonly": "no", "daemonize": "no", "loglevel": "warning"}


class RedisServer:
    """Can be stopped, with all its connections cut, and started again at the same address."""

    def __init__(self, program: str, home: Path) -> None:
        self._program = program
        self._home = home
        self._socket = home / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        options = {**_OPTIONS, "unixsocket": str(self._socket), "dir": str(self._home)}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(  # noqa: S603 - what is found on the PATH
            [self._program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + _START_SECONDS
        while not self._listens():
            assert self._process.poll() is None, "the server did not start"
            assert time.monotonic() < end, "the server does not listen"
            time.sleep(0.005)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(_START_SECONDS)
            self._process = None
            self._socket.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Nothing is answered any more, and nothing is closed."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self._socket)) == 0


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Skips the test where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(PROGRAMS)} is on the PATH")
    with short_folder("rds-") as home:
        server = RedisServer(program, home)
        try:
            server.start()
            yield server
        finally:
            server.stop()
