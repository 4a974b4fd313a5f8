"""Keeps webhooks out of the networks that this service can reach and its administrators cannot.

A URL is taken only in the one spelling that every parser reads alike, and is sent to the very
addresses that were looked at: a name that resolves to something else a moment later gains nothing.
"""

import asyncio
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from errors import InvalidEndpointError
from outgoing.addresses import Address, is_allowed, is_public
from outgoing.lookup import Resolve
from service.delivery.ports import NoAnswer

_LONGEST_URL = 2048
_MOST_ADDRESSES = 8  # that are tried; all are looked at
# RFC 3986 without what parsers disagree about; a host of letters that are no ASCII is written
# with xn--.
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?:[/?](?:[a-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?",
    re.ASCII | re.IGNORECASE,
)
# What to do about it. No text says what a name resolves to.
_NETWORKS = "UPLOADGATE_DELIVERY__ALLOWED_NETWORKS"
_CLEAR = f"plain http goes only to networks that {_NETWORKS} names"
_NOT_HTTPS = f"It must be https: {_CLEAR}, with UPLOADGATE_DELIVERY__ALLOW_HTTP=true"
_UNRESOLVED = "The host does not resolve"
_NOT_PUBLIC = (
    f"The host has an address that is not public: {_NETWORKS} can allow its network "
    "(but never link-local addresses and a cloud's metadata)"
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# What the URL standard takes for an IPv4 address, in whatever base: only the usual form is one.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that is well formed. `host` is in lower case; `address` is set where it is one."""

    url: str
    secure: bool
    host: str
    address: Address | None


class Guard:
    """`allowed_networks` are those that may be sent to although they are not public; with
    `allow_http` also in the clear, there alone. A name has `lookup_seconds` to resolve in.
    """

    def __init__(
        self,
        *,
        allowed_networks: Sequence[str],
        allow_http: bool,
        resolve: Resolve,
        lookup_seconds: float = 5,
    ) -> None:
        self._allowed = tuple(ipaddress.ip_network(text) for text in allowed_networks)
        self._allow_http = allow_http
        self._resolve = resolve
        self._seconds = lookup_seconds

    async def check_url(self, url: str) -> None:
        """For when an endpoint is registered; every message is checked anew. Raises
        InvalidEndpointError, which does not say what a name resolves to.
        """
        target = self.parse(url)
        found = await self.addresses(target)
        if isinstance(found, NoAnswer):
            _refuse(_UNRESOLVED if found.reason == "unresolvable" else _why_not(target))

    def parse(self, url: str) -> Target:
        """Raises InvalidEndpointError for what is not to be sent to whatever it resolves to."""
        found = _URL.fullmatch(url) if len(url) <= _LONGEST_URL else None
        if found is None:
            _refuse("It must be an https URL without a user, a fragment or unusual characters")
        secure = found["scheme"].lower() == "https"
        if not secure and not self._allow_http:
            _refuse(_NOT_HTTPS)
        if int(found["port"] or 443) > 65_535:  # noqa: PLR2004 - the largest port
            _refuse("There is no such port")
        host = found["host"].lower()
        return Target(url, secure, host, _literal(host))

    async def addresses(self, target: Target) -> Sequence[Address] | NoAnswer:
        """What it resolves to, where that is nothing but what may be sent to."""
        found = await self._found(target)
        if not found:
            return NoAnswer("unresolvable")
        if not all(self._may(address, secure=target.secure) for address in found):
            return NoAnswer("forbidden_address")
        return found[:_MOST_ADDRESSES]

    async def _found(self, target: Target) -> Sequence[Address]:
        if target.address is not None:
            return [target.address]
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._resolve(target.host)
        except (OSError, TimeoutError):
            return []
        return [ipaddress.ip_address(text) for text in found]

    def _may(self, address: Address, *, secure: bool) -> bool:
        return (secure and is_public(address)) or is_allowed(address, self._allowed)


def _literal(host: str) -> Address | None:
    """None for a name. Raises InvalidEndpointError for what is neither."""
    try:
        if host.startswith("["):
            return ipaddress.IPv6Address(host[1:-1])
        labels = host.split(".")
        if _NUMBER.fullmatch(labels[-1]):
            return ipaddress.IPv4Address(host)
    except ValueError:
        _refuse("The host is not an address in its usual form")
    if not all(_LABEL.fullmatch(label) for label in labels):
        _refuse("The host is not a name in its usual form")
    return None


def _why_not(target: Target) -> str:
    return _NOT_PUBLIC if target.secure else f"It must be https: {_CLEAR}"


def _refuse(why: str) -> NoReturn:
    raise InvalidEndpointError(why)
