"""Answers that announce themselves for ever are refused, and connections let go of at once."""

import asyncio
from typing import Any, Final

import aiohttp
from aiohttp.connector import Connection

_MOST_INFORMATIONAL: Final = 8


class ImpatientResponse(aiohttp.ClientResponse):
    """Raises aiohttp.ClientPayloadError for more informational heads (1xx) than any receiver needs.

    aiohttp's own `start` passes over any number of them, and does not let go of the event loop
    while there are more: neither a time-out nor another request has its turn meanwhile.
    """

    _transport: Any = None  # of asyncio or uvloop, which share no class

    async def let_go(self) -> None:
        """A TLS connection that is closed waits for its peer to close it, too: half a minute, and
        beyond every bound on connections.
        """
        self.close()
        try:
            await asyncio.sleep(0)  # in which the loop sends that it is closed
        finally:
            self._break()

    def _break(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        if protocol is None:
            return await super().start(connection)
        self._transport = protocol.transport
        read, heads = protocol.read, 0

        async def counted() -> Any:
            nonlocal heads
            heads += 1
            if heads > _MOST_INFORMATIONAL + 1:  # the last may be the answer itself
                raise aiohttp.ClientPayloadError("It only ever announces its answer")
            return await read()

        # `start` reads all heads by this, and the body by another way.
        vars(protocol)["read"] = counted
        try:
            return await super().start(connection)
        except BaseException:
            self._break()
            raise
        finally:
            del vars(protocol)["read"]
