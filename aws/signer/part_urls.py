"""Addresses for the parts of one multipart, signed in one go.

They differ in the part's number and in the values of their headers; all else is encoded, hashed
and keyed once for the batch. The URLs are QuerySigner's, byte for byte.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aws.signer.address import BucketAddress
from aws.signer.sigv4 import ALGORITHM, PAYLOAD, SigningDay, encoded

_METHOD: Final = "PUT"


class PartUrls:
    """Of one moment and one life, `seconds`."""

    def __init__(
        self,
        day: SigningDay,
        stamp: str,
        *,
        address: BucketAddress,
        key: str,
        multipart_id: str,
        seconds: int,
    ) -> None:
        """`stamp` of that day."""
        token = day.encoded_token
        upload_id = f"uploadId={encoded(multipart_id)}"
        self._host = address.host
        self._path = address.path(key)
        self._before = (
            f"X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={day.encoded_credential}"
            f"&X-Amz-Date={stamp}&X-Amz-Expires={seconds}"
        )
        self._token = "" if token is None else f"&X-Amz-Security-Token={token}"
        self._after = f"&{upload_id}\n"  # behind the number, in the order that is signed
        self._url = f"{address.origin}{self._path}?{upload_id}&partNumber="
        self._signatures = day.begun(f"{ALGORITHM}\n{stamp}\n{day.scope}\n")
        self._kinds: dict[tuple[str, ...], _Kind] = {}

    def url(self, number: int, headers: Mapping[str, str]) -> str:
        """`headers` in values without white space; each is signed, and the host."""
        names = tuple(headers)
        kind = self._kinds.get(names)
        if kind is None:
            kind = self._kinds[names] = self._kind(names)
        lines = kind.lines % tuple([headers[name] for name in kind.order])
        digest = kind.hashed.copy()
        digest.update(f"{number}{self._after}{lines}".encode())
        signature = self._signatures.of(digest.hexdigest())
        return f"{self._url}{number}{kind.query}{signature}"

    def _kind(self, names: tuple[str, ...]) -> "_Kind":
        order, signed = _ordered(names)
        encoded_names = encoded(signed)
        mine = f"{self._before}{self._token}&X-Amz-SignedHeaders={encoded_names}"
        lines = "".join(
            f"{name}:{self._host.replace('%', '%%') if name == 'host' else '%s'}\n"
            for name in signed.split(";")
        )
        return _Kind(
            order=order,
            lines=f"{lines}\n{signed}\n{PAYLOAD}",
            # `partNumber` and `uploadId` follow upon all names in `X-Amz-`.
            hashed=hashlib.sha256(f"{_METHOD}\n{self._path}\n{mine}&partNumber=".encode()),
            query=(
                f"&{self._before}&X-Amz-SignedHeaders={encoded_names}{self._token}&X-Amz-Signature="
            ),
        )


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is equal in all parts with headers of the same names. `order` are the names as given,
    in the order of their lines.
    """

    order: tuple[str, ...]
    lines: str
    hashed: "hashlib._Hash"
    query: str


@lru_cache(maxsize=64)
def _ordered(names: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The names by their small letters, and SignedHeaders."""
    by_small = {name.lower(): name for name in names}
    signed = sorted([*by_small, "host"])
    return tuple(by_small[name] for name in signed if name != "host"), ";".join(signed)
