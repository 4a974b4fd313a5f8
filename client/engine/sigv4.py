"""Addresses signed with temporary credentials of one's own (SigV4 in the query). By hand: an SDK
for it would take longer to load than a small file takes to be sent.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import SplitResult, quote, urlsplit

from client.grants import Issued
from client.wire import Place

_LIFE = timedelta(minutes=15)
_SHORTEST = 1
_ALGORITHM = "AWS4-HMAC-SHA256"
_PORTS = {"http": 80, "https": 443}


def signed_put(
    issued: Issued,
    key: str,
    headers: Mapping[str, str],
    query: Mapping[str, str | int],
    *,
    now: datetime,
) -> str:
    """The address of a PUT to `key` with exactly these headers; `now` by this machine's clock, for
    which the service's is taken: this one may be wrong by more than a store allows.

    As good as the bytes: it reaches no log.
    """
    url = address_of(issued.place, key)
    parts = urlsplit(url)
    moment = (now + issued.skew).astimezone(UTC)
    signed = {name.lower(): " ".join(text.split()) for name, text in headers.items()}
    signed = dict(sorted({**signed, "host": _host(parts)}.items()))
    scope = f"{moment:%Y%m%d}/{issued.place.region}/s3/aws4_request"
    told = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{issued.keys.access_key_id}/{scope}",
        "X-Amz-Date": f"{moment:%Y%m%dT%H%M%SZ}",
        "X-Amz-Expires": str(_life(issued, moment)),
        "X-Amz-SignedHeaders": ";".join(signed),
        "X-Amz-Security-Token": issued.keys.session_token,
    }
    asked = _canonical({**query, **told})
    lines = (f"{name}:{text}\n" for name, text in signed.items())
    request = ("PUT", parts.path, asked, "".join(lines), ";".join(signed), "UNSIGNED-PAYLOAD")
    digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
    to_sign = f"{_ALGORITHM}\n{told['X-Amz-Date']}\n{scope}\n{digest}"
    signature = _hmac(_signing_key(issued.keys.secret_access_key, scope), to_sign).hex()
    return f"{url}?{asked}&X-Amz-Signature={signature}"


def _life(issued: Issued, moment: datetime) -> int:
    """In seconds: none outlives its keys."""
    left = min(issued.keys.expires_at - moment, _LIFE)
    return max(_SHORTEST, int(left.total_seconds()))


def _host(parts: SplitResult) -> str:
    """As it is sent: without a port that the scheme implies."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


def _canonical(query: Mapping[str, str | int]) -> str:
    encoded = sorted((_encoded(name), _encoded(str(text))) for name, text in query.items())
    return "&".join(f"{name}={text}" for name, text in encoded)


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


def _signing_key(secret: str, scope: str) -> bytes:
    """Of the day, the Region and the service that `scope` names."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


def address_of(place: Place, key: str) -> str:
    """By the bucket's own host at AWS, by path elsewhere and where its name has dots, which no
    certificate of AWS covers.
    """
    path = quote(key, safe="/-_.~")
    if place.endpoint is not None:
        return f"{place.endpoint.rstrip('/')}/{place.bucket}/{path}"
    suffix = "amazonaws.com.cn" if place.region.startswith("cn-") else "amazonaws.com"
    host = f"s3.{place.region}.{suffix}"
    if "." in place.bucket:
        return f"https://{host}/{place.bucket}/{path}"
    return f"https://{place.bucket}.{host}/{path}"
