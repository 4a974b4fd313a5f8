"""The service's own access tokens: JWTs by RFC 9068, signed with HS256.

Every check is spelled out: algorithm, key, type, issuer, audience, times (RFC 8725). Checking
one touches no database.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import GuestProtocol, OctKey
from joserfc.jws import JWSRegistry

import errors
from auth.callers import Caller, Clock, UnverifiedToken, utc_now

MAX_LENGTH = 4096
"""In characters, well above what the longest name makes. Longer is refused unread."""

_ALGORITHM = "HS256"
_TYPE = "at+jwt"
_NEEDED: jwt.ClaimsOption = {"essential": True}


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Signed by us and whole. Good from `begins` to `ends`, in seconds as the token gives them."""

    caller: Caller
    begins: float
    ends: float


class AccessTokens:
    """Signs with one key and accepts several, so that a key can be replaced: the new one signs,
    the previous ones stay accepted until the last token they signed has expired.
    """

    def __init__(
        self,
        *,
        signing_key: str,
        previous_signing_keys: Sequence[str] = (),
        issuer: str,
        audience: str,
        seconds: int,
        leeway_seconds: int,
        clock: Clock = utc_now,
    ) -> None:
        self.seconds = seconds
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway_seconds
        self._clock = clock
        self._key_id = _key_id(signing_key)
        self._keys = {
            _key_id(key): OctKey.import_key(key) for key in (signing_key, *previous_signing_keys)
        }
        self._signatures = JWSRegistry(algorithms=[_ALGORITHM])
        self._claims = jwt.JWTClaimsRegistry(
            self._now,
            leeway_seconds,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub=_NEEDED,
            jti=_NEEDED,
            iat=_NEEDED,
            nbf=_NEEDED,
            exp=_NEEDED,
            scope={"essential": True, "allow_blank": True},
            username=_NEEDED,
        )

    def issue(
        self, user_id: str, username: str, scopes: Iterable[str], session_id: str | None = None
    ) -> str:
        """`session_id` names the login, with which the token ends before its time."""
        now = self._now()
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": user_id,
            "jti": uuid4().hex,
            "iat": now,
            "nbf": now,
            "exp": now + self.seconds,
            "scope": " ".join(sorted(scopes)),
            "username": username,
        }
        if session_id is not None:
            claims["sid"] = session_id
        header = {"alg": _ALGORITHM, "typ": _TYPE, "kid": self._key_id}
        key = self._keys[self._key_id]
        return jwt.encode(header, claims, key, registry=self._signatures)

    def read(self, token: UnverifiedToken) -> VerifiedToken:
        """Checks everything that the token itself can tell, its times by the clock among them.
        Raises TokenExpiredError for what was valid once, else InvalidTokenError.
        """
        if len(token) > MAX_LENGTH:
            raise errors.InvalidTokenError
        try:
            claims = self._verified_claims(token)
            return VerifiedToken(_caller(claims), max(claims["nbf"], claims["iat"]), claims["exp"])
        except ExpiredTokenError:
            raise errors.TokenExpiredError from None
        except (JoseError, ValueError, TypeError, OverflowError, OSError):
            # The library's words are left behind: they may quote the token. TypeError is its
            # answer to a header that is no JSON object; OverflowError and OSError are for a time
            # without a date.
            raise errors.InvalidTokenError from None

    def check_times(self, verified: VerifiedToken) -> None:
        """What `read` says of the times, without reading again. Both rules are the library's."""
        now = self._now()
        if verified.begins > now + self._leeway:
            raise errors.InvalidTokenError
        if verified.ends <= now - self._leeway:
            raise errors.TokenExpiredError

    def _verified_claims(self, token: UnverifiedToken) -> dict[str, Any]:
        found = jwt.decode(token, self._key_for, registry=self._signatures)
        if found.header.get("typ") != _TYPE:
            raise ValueError("another type of token")
        # The time of expiry comes last: "expired" is said only of what was valid once.
        expiry = {"exp": found.claims.pop("exp", None)}
        claims = {**found.claims, **expiry}
        self._claims.validate(claims)
        return claims

    def _key_for(self, token: GuestProtocol) -> OctKey:
        key = self._keys.get(token.headers().get("kid", ""))
        if key is None:
            raise InvalidKeyIdError
        return key

    def _now(self) -> int:
        return int(self._clock().timestamp())


def _key_id(key: str) -> str:
    """Names a key without giving it away; of its own domain, so no other hash of it matches."""
    return hashlib.sha256(b"uploadgate key id\0" + key.encode()).hexdigest()[:16]


def _caller(claims: dict[str, Any]) -> Caller:
    username, scope, session_id = claims["username"], claims["scope"], claims.get("sid")
    if not isinstance(username, str) or not isinstance(scope, str):
        raise TypeError("claims of another shape")
    if not isinstance(session_id, str | None):
        raise TypeError("a session of another shape")
    return Caller(
        user_id=claims["sub"],
        username=username,
        scopes=frozenset(scope.split()),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        session_id=session_id,
    )
