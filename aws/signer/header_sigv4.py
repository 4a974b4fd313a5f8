"""Signature Version 4 in the headers, for requests of the service's own that have no body.

Cheaper than in the query where the credentials have a session token, which would have to be part of
every address. Source: "Authenticating Requests: Using the Authorization Header", S3 API Reference.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from aws.signer.sigv4 import ALGORITHM, SigningDay

_NO_BODY: Final = hashlib.sha256(b"").hexdigest()


def authorized(
    day: SigningDay, stamp: str, *, host: str, method: str, path: str, headers: Mapping[str, str]
) -> dict[str, str]:
    """All headers to send but Host, which is signed too. `stamp` of that day; `path` is encoded
    already, and no query comes with it; `headers` have lower-case names, and no white space in
    their values but single spaces.
    """
    sent = {**headers, "x-amz-content-sha256": _NO_BODY, "x-amz-date": stamp}
    if day.token is not None:
        sent["x-amz-security-token"] = day.token
    names = sorted([*sent, "host"])
    signed = ";".join(names)
    lines = "".join([f"{name}:{host if name == 'host' else sent[name]}\n" for name in names])
    canonical = f"{method}\n{path}\n\n{lines}\n{signed}\n{_NO_BODY}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = day.signature(f"{ALGORITHM}\n{stamp}\n{day.scope}\n{digest}")
    sent["authorization"] = (
        f"{ALGORITHM} Credential={day.credential}, SignedHeaders={signed}, Signature={signature}"
    )
    return sent
