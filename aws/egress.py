"""How requests of our own leave for the store: by the proxy, and with the authorities, of botocore.

Not by aiohttp's `trust_env`, which also reads ~/.netrc, and knows nothing of AWS_CA_BUNDLE.
"""

import asyncio
import os
import ssl
from functools import lru_cache
from typing import Final, Self

from botocore.httpsession import ProxyConfiguration
from botocore.session import Session
from botocore.utils import get_environ_proxies
from yarl import URL

_BUCKETS: Final = 64  # each has a host of its own on AWS


class Egress:
    """`tls` is for aiohttp's connector: True trusts the system's authorities."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls: ssl.SSLContext | bool = True if tls is None else tls
        # On the hot path, and the environment takes a while to look through.
        self._proxy_of = lru_cache(maxsize=_BUCKETS)(_proxy_of)

    @classmethod
    async def found(cls) -> Self:
        """As the environment and AWS's configuration file have it. Raises OSError for authorities
        that cannot be read.
        """
        return cls(await asyncio.to_thread(_authorities))

    def proxy(self, url: URL) -> str | None:
        """HTTP_PROXY or HTTPS_PROXY, but for hosts in NO_PROXY. It may hold a password: it is for
        aiohttp alone.
        """
        return self._proxy_of(url.scheme, url.raw_authority)


def _proxy_of(scheme: str, authority: str) -> str | None:
    origin = f"{scheme}://{authority}"
    proxies = ProxyConfiguration(proxies=get_environ_proxies(origin))
    return proxies.proxy_url_for(origin) or None


def _authorities() -> ssl.SSLContext | None:
    """None where none are named."""
    path = Session().get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    if not path:
        return None
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:  # which does not say of what file
        raise OSError(f"No certificate authorities can be read from {path}") from error
