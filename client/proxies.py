"""Which requests go by a proxy."""

import urllib.request
from urllib.parse import urlsplit

_AWS = (".amazonaws.com", ".amazonaws.com.cn")


def proxy_for(url: str) -> str | None:
    """AWS is reached through whatever proxy the environment says, everything else directly."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host.endswith(_AWS) or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)
