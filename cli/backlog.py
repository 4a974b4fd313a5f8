"""Listening sockets that end without losing who has connected already."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable

# Far more than wait at any time, and an end should more keep coming.
_MOST = 10_000
# Turns of the loop from its accepting a connection to `connection_made`: one of uvloop's.
_TURNS = 3


async def close_listeners(
    servers: Iterable[asyncio.Server], protocol: Callable[[], asyncio.Protocol]
) -> None:
    """Closes them; whoever waited to be accepted is served by `protocol` still. The system would
    reset their connections, on which a request may have been sent. When this returns each has met
    its protocol.
    """
    loop = asyncio.get_running_loop()
    for server in servers:
        # By a second descriptor, on which the loop does not wait for the next connection.
        kept = [socket.socket(fileno=os.dup(one.fileno())) for one in server.sockets]
        server.close()
        for listener in kept:
            with listener:
                waiting = _accepted(listener)
            for connection in waiting:
                await loop.connect_accepted_socket(protocol, connection)
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _accepted(listener: socket.socket) -> list[socket.socket]:
    """All that wait. No step of the loop lies between the last one and the close."""
    found: list[socket.socket] = []
    listener.setblocking(False)
    while len(found) < _MOST:
        try:
            connection, _ = listener.accept()
        except OSError:  # nobody any more
            break
        connection.setblocking(False)
        found.append(connection)
    return found
