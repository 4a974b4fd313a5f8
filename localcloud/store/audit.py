"""Where the store's audit log ends up: a Unix socket in a directory that only we can enter.

The store speaks the forward protocol of Fluentd, in JSON. A metrics port would be a door more,
with profiles of the store's memory behind it, and would not tell one key from another.
"""

import asyncio
import contextlib
import json
import logging
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import httpx

from localcloud.errors import CountsUnavailableError
from localcloud.store.counts import Answered, RequestCounts
from localcloud.store.entries import EntryStream

_log = logging.getLogger(__name__)
_READ_BYTES = 64 * 1024
_MOST_CHARACTERS = 60
_SETTLE_SECONDS = 60.0
# The store may have been restarted since the last call.
_NO_IDLE_CONNECTIONS = httpx.Limits(max_keepalive_connections=0)
# Entries that the store holds back while nobody reads; what comes on top of them it drops.
_STORE_BUFFER = 1 << 17


class StoreAudit:
    """Reads the audit log of one store, over all its restarts, and counts."""

    def __init__(self, socket: Path, http: httpx.AsyncClient) -> None:
        self.socket = socket
        self._http = http
        self.counts = RequestCounts()
        self._awaited: dict[str, asyncio.Event] = {}
        self._connections: set[asyncio.StreamWriter] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def listening(cls) -> AsyncIterator[Self]:
        """Listen before the store starts. OSError where there is no room for a directory.

        Not in the data directory, whose path may be longer than a socket's; TMPDIR's may, too.
        """
        async with contextlib.AsyncExitStack() as stack:
            long = len(tempfile.gettempdir()) > _MOST_CHARACTERS
            place = "/tmp" if long else None  # noqa: S108 - a directory of its own there
            directory = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="localcloud-", dir=place)
            )
            http = httpx.AsyncClient(
                trust_env=False, timeout=_SETTLE_SECONDS, limits=_NO_IDLE_CONNECTIONS
            )
            audit = cls(Path(directory) / "audit.sock", await stack.enter_async_context(http))
            async with await asyncio.start_unix_server(audit._accept, audit.socket):
                try:
                    yield audit
                finally:
                    audit._hang_up()

    def configuration(self) -> str:
        """Give the store's file about it (fluent-logger-golang's Config)."""
        config = {
            "fluent_network": "unix",
            "fluent_socket_path": str(self.socket),
            "marshal_as_json": True,
            "buffer_limit": _STORE_BUFFER,
        }
        return json.dumps(config, indent=1)

    async def settle(self, s3_endpoint: str, bucket: str) -> None:
        """Return when all is counted that was answered before this call.

        The log is a queue: once a request of our own has come through, so has what was before it.
        CountsUnavailableError when the store is off or its log is silent.
        """
        mark = f"localcloud-{secrets.token_hex(8)}"
        arrived = self._awaited[mark] = asyncio.Event()
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                # Refused for want of a signature, and written down like everything else.
                address = f"{s3_endpoint}/{bucket}/{mark}"
                await self._http.head(address, headers={"User-Agent": mark})
                await arrived.wait()
        except (httpx.HTTPError, TimeoutError) as error:
            raise CountsUnavailableError(
                "the store is off or its audit log is silent: nobody can say what it has answered"
            ) from error
        finally:
            del self._awaited[mark]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        stream = EntryStream()
        try:
            while data := await reader.read(_READ_BYTES):
                for answered in stream.feed(data):
                    self._count(answered)
        except (OSError, ValueError):
            _log.exception("the store's audit log cannot be read")
        finally:
            self._connections.discard(writer)
            writer.close()

    def _count(self, answered: Answered) -> None:
        mark = self._awaited.get(answered.user_agent)
        if mark is not None:
            mark.set()
        else:
            self.counts.add(answered)

    def _hang_up(self) -> None:
        for connection in self._connections:
            connection.close()
