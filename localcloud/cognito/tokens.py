"""OpenID tokens: what the pool says about an identity, signed.

The claims are those of a token that AWS issues for a developer-authenticated identity.
"""

import time
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import RSAKey

from localcloud.cognito.errors import NotAuthorizedException
from localcloud.cognito.identities import IdentityId
from localcloud.cognito.signing_key import ALGORITHM
from localcloud.store.policies import ACCOUNT, ISSUER

# The claim that STS reads session tags from.
TAGS_CLAIM = "https://aws.amazon.com/tags"
_MAX_SKEW_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """A token of this pool, unexpired and of the identity that was asked for."""

    identity_id: IdentityId
    claims: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TokenIssuer:
    """Issues and verifies the tokens of one pool. Times are seconds since the epoch."""

    key: RSAKey
    pool_id: str

    def for_developer_user(
        self,
        identity_id: IdentityId,
        *,
        provider: str,
        user: str,
        duration: int,
        tags: dict[str, str],
    ) -> str:
        """Issue the token of GetOpenIdTokenForDeveloperIdentity, good for `duration` seconds."""
        region = self.pool_id.partition(":")[0]
        subject = f"{provider}:{region}:{ACCOUNT}:{self.pool_id}:{user}"
        claims: dict[str, Any] = {"amr": ["authenticated", provider, subject]}
        if tags:
            principal_tags = {name: [value] for name, value in tags.items()}
            claims[TAGS_CLAIM] = {"principal_tags": principal_tags}
        return self._signed(identity_id, claims, duration)

    def for_exchange(self, token: VerifiedToken, *, duration: int) -> str:
        """Issue what the STS is shown for a verified token.

        AWS's keys live for an hour however little of the token's life is left; the embedded STS
        may end them with the token. So it is shown one that outlives them.
        """
        kept = {name: token.claims[name] for name in ("amr", TAGS_CLAIM) if name in token.claims}
        return self._signed(token.identity_id, kept, duration)

    def verify(self, unverified_token: str, identity_id: IdentityId) -> VerifiedToken:
        """Check algorithm, key, signature, issuer, audience, times and subject.

        NotAuthorizedException says which of them failed.
        """
        claims = self._authentic_claims(unverified_token)
        if claims.get("iss") != ISSUER:
            raise _invalid("Issuer doesn't match providerName")
        if claims.get("aud") != self.pool_id:
            raise _invalid("Incorrect token audience.")
        _check_times(claims)
        if claims.get("sub") != identity_id:
            raise NotAuthorizedException(f"Access to Identity '{identity_id}' is forbidden.")
        return VerifiedToken(identity_id=identity_id, claims=claims)

    def _authentic_claims(self, unverified_token: str) -> dict[str, Any]:
        try:
            unverified = jws.extract_compact(unverified_token.encode())
            if unverified.headers().get("kid") != self.key.kid:
                raise _invalid("Couldn't verify signed token.")
            return dict(jwt.decode(unverified_token, self.key, algorithms=[ALGORITHM]).claims)
        except BadSignatureError as error:
            raise _invalid("Token signature invalid.") from error
        except (JoseError, ValueError) as error:
            raise _invalid("Not a valid OpenId Connect identity token.") from error

    def _signed(self, identity_id: IdentityId, claims: dict[str, Any], duration: int) -> str:
        now = int(time.time())
        header = {"alg": ALGORITHM, "kid": self.key.kid, "typ": "JWS"}
        body = {
            "iss": ISSUER,
            "aud": self.pool_id,
            "sub": identity_id,
            "iat": now,
            "auth_time": now,
            "exp": now + duration,
            **claims,
        }
        return jwt.encode(header, body, self.key, algorithms=[ALGORITHM])


def _check_times(claims: dict[str, Any]) -> None:
    now = time.time()
    expires, issued = claims.get("exp"), claims.get("iat")
    if type(expires) is not int or type(issued) is not int:
        raise _invalid("Not a valid OpenId Connect identity token.")
    if now >= expires:
        raise _invalid(f"Token expired: {int(now)} >= {expires}")
    starts = claims.get("nbf", issued)
    if type(starts) is not int or max(starts, issued) > now + _MAX_SKEW_SECONDS:
        raise _invalid("Token is not yet valid.")


def _invalid(reason: str) -> NotAuthorizedException:
    return NotAuthorizedException(f"Invalid login token. {reason}")
