"""The stage of the webhook benchmark: the real service on one core; Postgres (durable, as a server
of one's own is), the store, the host of the certificate and the senders on the other.
"""

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from benchmarks.sns_messages import CERTIFICATE_PATH, TOPIC
from benchmarks.sns_service import CERTIFICATES
from benchmarks.stage import cores, free_port, served
from localcloud import LocalCloud
from state.tables import inbox
from tests.fakes.eventually import eventually
from tests.fakes.postgres import postgres_database, running_postgres


@dataclass
class CertificateHost:
    """Says one certificate to everyone; counts how often."""

    certificate: bytes
    fetches: int = 0
    url: str = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["CertificateHost"]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.fetches += head.startswith(f"GET {CERTIFICATE_PATH} ".encode())
        length = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.certificate)}\r\n"
        writer.write(length.encode() + b"Connection: close\r\n\r\n" + self.certificate)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@dataclass
class Service:
    """A running replica."""

    port: int
    pid: int
    database_url: str

    async def rows(self) -> int:
        """In the inbox."""
        async with self._connected() as connection:
            found = (await connection.execute(select(func.count()).select_from(inbox))).scalar_one()
        return int(found)

    async def clear(self) -> None:
        async with self._connected() as connection:
            await connection.execute(delete(inbox))

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        engine = create_async_engine(self.database_url)
        async with engine.begin() as connection:
            yield connection
        await engine.dispose()


@contextlib.asynccontextmanager
async def databases(kinds: Sequence[str], directory: Path) -> AsyncIterator[dict[str, str]]:
    """An empty database of each kind, by its name; a Postgres is told to be as safe as it can."""
    found = {}
    async with contextlib.AsyncExitStack() as stack:
        if "postgres" in kinds:
            socket = stack.enter_context(running_postgres())
            url = await stack.enter_async_context(postgres_database(socket))
            await _make_durable(url)
            found["postgres"] = url
        if "sqlite" in kinds:
            found["sqlite"] = f"sqlite+aiosqlite:///{directory / 'records.db'}"
        yield {kind: found[kind] for kind in kinds}


async def _make_durable(url: str) -> None:
    """The tests' Postgres may forget in a crash; a measured one may not."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            await connection.exec_driver_sql(f"ALTER SYSTEM SET {name} = on")
        await connection.exec_driver_sql("SELECT pg_reload_conf()")

    async def told() -> bool:
        async with engine.connect() as connection:
            shown = await connection.exec_driver_sql("SHOW fsync")
            return bool(shown.scalar_one() == "on")

    await eventually(told)
    await engine.dispose()


@contextlib.asynccontextmanager
async def service(
    cloud: LocalCloud,
    database_url: str,
    directory: Path,
    certificates: CertificateHost,
    settings: Mapping[str, str],
) -> AsyncIterator[Service]:
    """`directory` gets its log."""
    port = free_port()
    environment = cloud.environment() | {
        "PATH": os.environ["PATH"],
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_DATABASE__URL": database_url,
        "UPLOADGATE_AUTH__SIGNING_KEY": secrets.token_urlsafe(32),
        "UPLOADGATE_HTTP__PORT": str(port),
        "UPLOADGATE_WEBHOOKS__SNS_TOPIC_ARNS": f'["{TOPIC}"]',
        "UPLOADGATE_LOG_LEVEL": "warning",
        "UPLOADGATE_DRAIN_SECONDS": "0",
        CERTIFICATES: certificates.url,
        **settings,
    }
    command, log = (sys.executable, "-m", "benchmarks.sns_service"), directory / f"{port}.log"
    url = f"http://127.0.0.1:{port}/readyz"
    async with served(command, environment, url, log=log, core=cores()[0]) as pid:
        yield Service(port, pid, database_url)
