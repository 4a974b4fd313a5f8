"""Signature Version 4 in the query: pure functions of who signs, when and what.

Source: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)", S3 API
Reference. Where that leaves room (the order of parameters in the URL, white space in headers)
this does what botocore does, and tests/unit/aws/test_signature_v4.py holds it to that, byte for
byte.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from aws.signer.credentials import SigningCredentials

ALGORITHM: Final = "AWS4-HMAC-SHA256"
PAYLOAD: Final = "UNSIGNED-PAYLOAD"  # the bytes are not known when a URL is signed
_SERVICE: Final = "s3"
_TERMINATOR: Final = "aws4_request"
_BLOCK, _INNER, _OUTER = 64, 0x36, 0x5C  # RFC 2104's, of SHA-256
_MOST_DAYS: Final = 4  # yesterday and today, of the old credentials and of the new


def encoded(text: str) -> str:
    """RFC 3986: all but the unreserved characters, a space as `%20`."""
    return quote(text, safe="")


def signing_key(secret: str, day: str, region: str) -> bytes:
    """The day's key: four HMACs from the secret access key. `day` as in `20300101`."""
    key = f"AWS4{secret}".encode()
    for step in (day, region, _SERVICE, _TERMINATOR):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


class SigningDay:
    """Credentials on one day: the key, and what else is the same in all that they sign on it.
    Holds secrets, and has no repr that would tell them.
    """

    def __init__(self, credentials: SigningCredentials, day: str, region: str) -> None:
        token = credentials.session_token
        self.scope = f"{day}/{region}/{_SERVICE}/{_TERMINATOR}"
        self.credential = f"{credentials.access_key_id}/{self.scope}"
        self.token = token
        self.encoded_credential = encoded(self.credential)
        self.encoded_token = None if token is None else encoded(token)  # some 50 µs
        self._key = signing_key(credentials.secret_access_key, day, region)

    def signature(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()

    def begun(self, text: str) -> "Signatures":
        """For many signatures whose texts all begin with `text`."""
        return Signatures(self._key, text)


class Signatures:
    """HMAC-SHA256 (RFC 2104), its two hashes begun once: hmac.digest looks for its algorithm and
    hashes the key anew each time, which makes half of a signature's cost.
    """

    def __init__(self, key: bytes, begin: str) -> None:
        """`key` of one block of SHA-256 (64 bytes) at the most."""
        block = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ _INNER for byte in block))
        self._inner.update(begin.encode())
        self._outer = hashlib.sha256(bytes(byte ^ _OUTER for byte in block))

    def of(self, rest: str) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(rest.encode())
        outer.update(inner.digest())
        return outer.hexdigest()


class SigningDays:
    """The last few of one Region, the eldest forgotten first."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._kept: dict[tuple[SigningCredentials, str], SigningDay] = {}

    def of(self, credentials: SigningCredentials, day: str) -> SigningDay:
        found = self._kept.get((credentials, day))
        if found is None:
            while len(self._kept) >= _MOST_DAYS:
                del self._kept[next(iter(self._kept))]
            found = SigningDay(credentials, day, self._region)
            self._kept[credentials, day] = found
        return found


@lru_cache(maxsize=16)
def stamp_of(at: datetime) -> str:
    """As `X-Amz-Date` has it. `at` in UTC, in whole seconds: all of one second have the same."""
    return f"{at:%Y%m%dT%H%M%SZ}"


class QuerySigner:
    """Signs any number of URLs at one moment and for one life; a batch shares all that is equal."""

    def __init__(self, day: SigningDay, stamp: str, *, host: str, seconds: int) -> None:
        """`stamp` of that day; `host` as the client will send it: in lower case, without its
        scheme's default port.
        """
        self._day = day
        self._host = host
        self._preamble = f"{ALGORITHM}\n{stamp}\n{day.scope}\n"
        self._before = (
            f"X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={day.encoded_credential}"
            f"&X-Amz-Date={stamp}&X-Amz-Expires={seconds}"
        )
        token = day.encoded_token
        self._token = "" if token is None else f"&X-Amz-Security-Token={token}"

    def query(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        """The whole signed query. `path` is encoded already, exactly as it will be sent; `query`
        (no name begins with `X-Amz-`) and `headers` (all but Host) are plain, and every one of
        them is signed.
        """
        sent = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        sent["host"] = self._host
        names = sorted(sent)
        signed, encoded_names = _joined(tuple(names))
        own = [(encoded(name), encoded(value)) for name, value in query.items()]
        lines = "".join([f"{name}:{sent[name]}\n" for name in names])
        mine = f"{self._before}{self._token}&X-Amz-SignedHeaders={encoded_names}"
        in_order = _in_order(own, mine)
        canonical = f"{method}\n{path}\n{in_order}\n{lines}\n{signed}\n{PAYLOAD}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = self._day.signature(self._preamble + digest)
        first = "".join([f"{name}={value}&" for name, value in own])
        return (
            f"{first}{self._before}&X-Amz-SignedHeaders={encoded_names}{self._token}"
            f"&X-Amz-Signature={signature}"
        )


def _in_order(own: list[tuple[str, str]], auth: str) -> str:
    """The canonical query: by name, where `auth` is in order already. Comparing joined texts
    would put `a-b=` before `a=`.
    """
    pairs = sorted(own)
    before = [f"{name}={value}" for name, value in pairs if name < "X-Amz-"]
    after = [f"{name}={value}" for name, value in pairs if name > "X-Amz-"]
    return "&".join([*before, auth, *after])


@lru_cache(maxsize=64)
def _joined(names: tuple[str, ...]) -> tuple[str, str]:
    """SignedHeaders, plain and encoded; requests of one kind have the same."""
    joined = ";".join(names)
    return joined, encoded(joined)
