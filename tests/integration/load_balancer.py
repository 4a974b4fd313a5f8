"""A real HAProxy on loopback in front of replicas, without affinity."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.integration.stack import eventually, free_port

# Debian's place for it is not on everybody's PATH.
PROGRAM = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
CHECK_SECONDS = 0.2
# Its time-outs are shorter than a replica's keep-alive, and it tries nothing twice: a request that
# a replica cuts off is one that fails.
_CONFIGURATION = """
global
    log stderr format raw local0 info
    maxconn 4000
defaults
    mode http
    log global
    option httplog
    retries 0
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 30s
    timeout check 5s
frontend public
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200
    http-reuse always
    default-server check inter {check}ms fall 1 rise 1 pool-purge-delay 20s
{servers}
"""


@dataclass
class LoadBalancer:
    port: int
    log: Path
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    @asynccontextmanager
    async def running(
        cls, directory: Path, replicas: Sequence[int]
    ) -> AsyncIterator["LoadBalancer"]:
        """In front of these ports, which answer already: it believes all to be ready at first.
        Skips the test where there is no HAProxy.
        """
        if PROGRAM is None:
            pytest.skip("haproxy is not installed")
        port = free_port()
        file, log = directory / "haproxy.cfg", directory / "haproxy.log"
        file.write_text(_configuration(port, replicas))
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(PROGRAM, "-db", "-f", str(file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        balancer = cls(port, log, process)
        try:
            await balancer._is_there()
            yield balancer
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _is_there(self) -> None:
        async def answers() -> bool:
            assert self.process.returncode is None, self.log.read_text()[-3000:]
            try:
                return (await client.get("/livez")).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            await eventually(answers, "the load balancer answers")


def _configuration(port: int, replicas: Sequence[int]) -> str:
    servers = "\n".join(
        f"    server replica{number} 127.0.0.1:{one}" for number, one in enumerate(replicas)
    )
    check = int(CHECK_SECONDS * 1000)
    return _CONFIGURATION.format(port=port, check=check, servers=servers)
