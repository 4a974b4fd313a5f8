"""AWS Signature Version 4, verified for the one key that may register identities.

Source: "Signature Version 4 signing process", AWS General Reference. Only the header form is
accepted: a developer call is a POST by a server.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from localcloud.cognito.errors import (
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    UnrecognizedClientException,
)

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "cognito-identity"
_TIME = "%Y%m%dT%H%M%SZ"
_MAX_SKEW = timedelta(minutes=5)
_FIELD = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureVerifier:
    """Checks requests against one long-lived key of one Region."""

    access_key_id: str
    secret_access_key: str
    region: str

    def verify(self, request: SignedRequest, *, now: datetime | None = None) -> None:
        """Return when the request was signed with the key, within five minutes of `now`.

        Otherwise one of AWS's errors: Missing…, Incomplete…, UnrecognizedClient…, Invalid….
        """
        header = request.headers.get("authorization")
        if not header:
            raise MissingAuthenticationTokenException("Missing Authentication Token")
        claimed = _Claimed.parse(header)
        if not _same(claimed.access_key_id, self.access_key_id) or (
            "x-amz-security-token" in request.headers
        ):
            raise UnrecognizedClientException(
                "The security token included in the request is invalid."
            )
        signed_at = _signing_time(request.headers)
        self._check_scope(claimed, signed_at)
        _check_clock(signed_at, now or datetime.now(UTC))
        _check_signed_headers(claimed, request.headers)
        if not _same(claimed.signature, self._signature(request, claimed, signed_at)):
            raise InvalidSignatureException(
                "The request signature we calculated does not match the signature you provided."
                " Check your AWS Secret Access Key and signing method."
                " Consult the service documentation for details."
            )

    def _check_scope(self, claimed: "_Claimed", signed_at: datetime) -> None:
        date, region, service, terminator = claimed.scope
        if region != self.region:
            raise InvalidSignatureException("Credential should be scoped to a valid region.")
        if service != _SERVICE:
            raise InvalidSignatureException(
                f"Credential should be scoped to correct service: '{_SERVICE}'."
            )
        if terminator != "aws4_request" or date != signed_at.strftime("%Y%m%d"):
            raise InvalidSignatureException("Date or terminator of the credential scope is wrong.")

    def _signature(self, request: SignedRequest, claimed: "_Claimed", at: datetime) -> str:
        canonical = hashlib.sha256(_canonical(request, claimed.signed_headers).encode()).hexdigest()
        to_sign = "\n".join((_ALGORITHM, at.strftime(_TIME), "/".join(claimed.scope), canonical))
        key = b"AWS4" + self.secret_access_key.encode()
        for part in (*claimed.scope, to_sign):
            key = hmac.digest(key, part.encode(), "sha256")
        return key.hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claimed:
    """What the Authorization header says; nothing of it is believed yet."""

    access_key_id: str
    scope: tuple[str, str, str, str]
    signed_headers: tuple[str, ...]
    signature: str

    @classmethod
    def parse(cls, header: str) -> "_Claimed":
        algorithm, _, rest = header.partition(" ")
        fields = dict(_FIELD.findall(rest))
        access_key_id, *scope = fields.get("Credential", "").split("/")
        if algorithm != _ALGORITHM or len(fields) != 3 or len(scope) != 4:  # noqa: PLR2004 - see above
            raise IncompleteSignatureException(
                "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature'"
                f" parameters of {_ALGORITHM}."
            )
        date, region, service, terminator = scope
        return cls(
            access_key_id=access_key_id,
            scope=(date, region, service, terminator),
            signed_headers=tuple(fields["SignedHeaders"].split(";")),
            signature=fields["Signature"],
        )


def _signing_time(headers: Mapping[str, str]) -> datetime:
    try:
        return datetime.strptime(headers.get("x-amz-date", ""), _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise IncompleteSignatureException(
            "Authorization header requires existence of an 'X-Amz-Date' header."
        ) from error


def _check_clock(signed_at: datetime, now: datetime) -> None:
    signed, server = signed_at.strftime(_TIME), now.strftime(_TIME)
    if signed_at < now - _MAX_SKEW:
        earliest = (now - _MAX_SKEW).strftime(_TIME)
        raise InvalidSignatureException(
            f"Signature expired: {signed} is now earlier than {earliest} ({server} - 5 min.)"
        )
    if signed_at > now + _MAX_SKEW:
        latest = (now + _MAX_SKEW).strftime(_TIME)
        raise InvalidSignatureException(
            f"Signature not yet current: {signed} is still later than {latest} ({server} + 5 min.)"
        )


def _check_signed_headers(claimed: _Claimed, headers: Mapping[str, str]) -> None:
    needed = {"host"} | {name for name in headers if name.startswith("x-amz-")}
    missing = needed - set(claimed.signed_headers)
    if missing:
        names = ", ".join(sorted(missing))
        raise InvalidSignatureException(f"'{names}' must be a signed header in the request.")


def _canonical(request: SignedRequest, signed_headers: tuple[str, ...]) -> str:
    # The body's hash is always computed here; a header that claims another one is only a header.
    values = {name: " ".join(request.headers.get(name, "").split()) for name in signed_headers}
    return "\n".join(
        (
            request.method,
            request.path,
            request.query,
            *(f"{name}:{value}" for name, value in values.items()),
            "",
            ";".join(signed_headers),
            hashlib.sha256(request.body).hexdigest(),
        )
    )


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
