"""Posts webhooks: one attempt within a bounded time, to the addresses that were looked at."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from errors import InvalidEndpointError
from outgoing.addresses import Address
from outgoing.guard import Guard
from outgoing.patience import ImpatientResponse
from outgoing.retry_after import retry_after
from service.clock import Clock
from service.delivery.ports import Answer, NoAnswer

_MOST_ANSWER = 4096
_ANSWER_SECONDS = 1.0
# Of the request in this task: what the connection may be opened to.
_looked_at: ContextVar[Sequence[Address]] = ContextVar("_looked_at", default=())


class HttpSender:
    """Implements service.delivery.ports.Sender. `opened` is the way to one: it holds the
    connections and lives as long as the application.
    """

    def __init__(
        self, session: aiohttp.ClientSession, guard: Guard, *, timeout_seconds: float, clock: Clock
    ) -> None:
        self._session = session
        self._guard = guard
        self._seconds = timeout_seconds
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        guard: Guard,
        *,
        timeout_seconds: float,
        connections: int,
        user_agent: str,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
    ) -> AsyncIterator[Self]:
        """At most so many connections at once. `tls` trusts the system's authorities by default.

        No connection is used twice: a receiver that closes an idle one would cost the next message
        an attempt, and each connection is opened to what was looked at for its own message.
        """
        connector = aiohttp.TCPConnector(
            limit=connections,
            force_close=True,
            use_dns_cache=False,
            resolver=_LookedAt(),
            socket_factory=_socket,
            ssl=tls or ssl.create_default_context(),
        )
        async with aiohttp.ClientSession(
            connector=connector,
            response_class=ImpatientResponse,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None),
            headers={"User-Agent": user_agent, "Content-Type": "application/json"},
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding",),
            read_bufsize=_MOST_ANSWER,
        ) as session:
            yield cls(session, guard, timeout_seconds=timeout_seconds, clock=clock)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer | NoAnswer:
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._guard.addresses(self._guard.parse(url))
                if isinstance(found, NoAnswer):
                    return found
                _looked_at.set(found)
                # As it was looked at: no parser may spell it otherwise.
                response = await self._session.post(
                    URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
                )
        except InvalidEndpointError:
            return NoAnswer("forbidden_url", final=True)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return NoAnswer(_reason(error))
        await _take_leave(response)
        wish = retry_after(response.headers.get("Retry-After"), self._clock())
        return Answer(response.status, wish)


async def _take_leave(response: aiohttp.ClientResponse) -> None:
    """Hears a short answer out, so that its sender does not see the connection break. Whatever
    comes of that, the receiver has answered.
    """
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await response.content.readexactly(_MOST_ANSWER)
    except (aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError, OSError, ValueError):
        pass
    finally:
        if isinstance(response, ImpatientResponse):
            await response.let_go()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientSSLError):
        return "tls"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _UNREACHABLE.get(type(error.os_error), "unreachable")
    return "broken"


class _NotLookedAtError(OSError):
    """Whatever way aiohttp came by an address: it was not ours."""


_UNREACHABLE = {ConnectionRefusedError: "refused", _NotLookedAtError: "forbidden_address"}


def _socket(where: aiohttp.AddrInfoType) -> socket.socket:
    """Every connection passes here, also one to an address that was never a name."""
    family, kind, protocol, _, address = where
    if ipaddress.ip_address(address[0]) not in _looked_at.get():
        raise _NotLookedAtError
    return socket.socket(family, kind, protocol)


class _LookedAt(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in _looked_at.get()
        ]

    async def close(self) -> None:
        """Holds nothing."""
