"""One PUT to the store or the service: bounded in time, its answer bounded in length."""

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from client.engine.answers import CutError, UnreachableError
from client.engine.body import Body
from client.engine.watchdog import Watchdog
from client.proxies import proxy_for

_MOST_OF_AN_ANSWER = 64 * 1024
_CONNECT_SECONDS = 5
_UNSENT = 256 * 1024
_OWN = frozenset({"host", "content-length"})
_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@dataclass(frozen=True, slots=True)
class Answer:
    """Headers do not care for case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class Sender:
    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    @classmethod
    @asynccontextmanager
    async def opened(cls, *, connections: int) -> AsyncIterator["Sender"]:
        """`connections` is how many requests run at once."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, socket_factory=_socket),
            # None in all: the watchdog sees to it that something moves.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Exactly what was signed.
            skip_auto_headers=("Content-Type", "Accept-Encoding"),
            headers={"User-Agent": "uploadgate-client"},
            # With it a .netrc would add an Authorization of its own.
            trust_env=False,
        ) as http:
            yield cls(http)

    async def put(
        self, url: str, headers: Mapping[str, str], body: Body, watchdog: Watchdog
    ) -> Answer:
        """Raises UnreachableError, CutError, and what went wrong with the file."""
        try:
            async with watchdog:
                return await self._put(url, headers, body)
        except _NO_CONNECTION as error:
            raise UnreachableError(f"no connection ({type(error).__name__})") from None
        except TimeoutError:
            raise CutError("nothing moved any more") from None
        except (aiohttp.ClientError, OSError) as error:
            if body.failure is not None:
                raise body.failure from None
            raise CutError(f"the connection was cut ({type(error).__name__})") from None

    async def _put(self, url: str, headers: Mapping[str, str], body: Body) -> Answer:
        async with self._http.put(
            URL(url, encoded=True),  # as it was signed, character by character
            headers={name: text for name, text in headers.items() if name.lower() not in _OWN},
            data=body,
            allow_redirects=False,
            proxy=proxy_for(url),
        ) as answer:
            # Answered early, the rest is not sent: aiohttp ends its writing, and the connection.
            content = await _read(answer.content)
            return Answer(answer.status, answer.reason or "", answer.headers, content)


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """The kernel takes no more than it can soon send: else megabytes would wait in it, and a slow
    line could not be told from one that stands still.
    """
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    return made


async def _read(stream: aiohttp.StreamReader) -> bytes:
    content = b""
    while len(content) < _MOST_OF_AN_ANSWER and (more := await stream.read(_MOST_OF_AN_ANSWER)):
        content += more
    return content
