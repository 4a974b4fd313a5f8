"""Answers that announce themselves for ever are refused."""

from typing import Any, Final

import aiohttp
from aiohttp.connector import Connection

_MOST_INFORMATIONAL: Final = 8


class ImpatientResponse(aiohttp.ClientResponse):
    """Raises aiohttp.ClientPayloadError for more informational heads (1xx) than any receiver needs.

    aiohttp's own `start` passes over any number of them, and does not let go of the event loop
    while there are more: neither a time-out nor another request has its turn meanwhile.
    """

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        if protocol is None:
            return await super().start(connection)
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
        finally:
            del vars(protocol)["read"]
