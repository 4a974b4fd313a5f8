"""Every way to forge a login token, and what is said about it."""

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from localcloud.cognito.errors import NotAuthorizedException
from localcloud.cognito.identities import IdentityId
from localcloud.cognito.signing_key import public_jwks, signing_key
from localcloud.cognito.tokens import TAGS_CLAIM, TokenIssuer
from localcloud.store.policies import ISSUER

POOL = "us-east-1:11111111-2222-3333-4444-555555555555"
ME = IdentityId("us-east-1:aaaaaaaa-0000-0000-0000-000000000000")
OTHER = IdentityId("us-east-1:bbbbbbbb-0000-0000-0000-000000000000")


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> TokenIssuer:
    key = signing_key(tmp_path_factory.mktemp("key") / "cognito.pem")
    return TokenIssuer(key=key, pool_id=POOL)


def issued(issuer: TokenIssuer, *, duration: int = 900, **tags: str) -> str:
    return issuer.for_developer_user(
        ME, provider="login.app", user="user-1", duration=duration, tags=tags
    )


def forged(issuer: TokenIssuer, **claims: Any) -> str:
    now = int(time.time())
    body = {"iss": ISSUER, "aud": POOL, "sub": ME, "iat": now, "exp": now + 900} | claims
    header = {"alg": "RS256", "kid": issuer.key.kid}
    body = {name: value for name, value in body.items() if value is not None}
    return jwt.encode(header, body, issuer.key, algorithms=["RS256"])


def refusal(issuer: TokenIssuer, token: str, identity: IdentityId = ME) -> str:
    with pytest.raises(NotAuthorizedException) as caught:
        issuer.verify(token, identity)
    return caught.value.message


def test_an_issued_token_is_good_and_says_what_awss_says(issuer: TokenIssuer) -> None:
    claims = issuer.verify(issued(issuer, team="red"), ME).claims
    assert claims["iss"] == "https://cognito-identity.amazonaws.com"
    assert (claims["aud"], claims["sub"]) == (POOL, ME)
    assert claims["exp"] - claims["iat"] == 900
    subject = f"login.app:us-east-1:000000000000:{POOL}:user-1"
    assert claims["amr"] == ["authenticated", "login.app", subject]
    assert claims[TAGS_CLAIM] == {"principal_tags": {"team": ["red"]}}


def test_the_published_key_verifies_it_and_is_public(issuer: TokenIssuer) -> None:
    (published,) = public_jwks(issuer.key)["keys"]
    assert published.keys() == {"kty", "n", "e", "use", "alg", "kid"}
    key = RSAKey.import_key({name: str(value) for name, value in published.items()})
    assert jwt.decode(issued(issuer), key, algorithms=["RS256"]).claims["sub"] == ME


def test_the_exchanged_token_lives_as_long_as_the_keys(issuer: TokenIssuer) -> None:
    short = issuer.verify(issued(issuer, duration=60, team="red"), ME)
    claims = issuer.verify(issuer.for_exchange(short, duration=3600), ME).claims
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["amr"] == short.claims["amr"]
    assert claims[TAGS_CLAIM] == short.claims[TAGS_CLAIM]


def test_another_identitys_token_is_refused(issuer: TokenIssuer) -> None:
    assert refusal(issuer, issued(issuer), OTHER) == f"Access to Identity '{OTHER}' is forbidden."


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"iss": "https://elsewhere"}, "Issuer doesn't match providerName"),
        ({"aud": "us-east-1:99999999"}, "Incorrect token audience."),
        ({"aud": [POOL]}, "Incorrect token audience."),
        ({"exp": 1_000_000_000}, "Token expired: "),
        ({"exp": None}, "Not a valid OpenId Connect identity token."),
        ({"exp": 9e99}, "Not a valid OpenId Connect identity token."),
        ({"iat": None}, "Not a valid OpenId Connect identity token."),
        ({"iat": 9_000_000_000}, "Token is not yet valid."),
        ({"nbf": 9_000_000_000}, "Token is not yet valid."),
        ({"sub": "*"}, "forbidden"),
        ({"sub": None}, "forbidden"),
    ],
)
def test_every_claim_counts(issuer: TokenIssuer, claims: dict[str, Any], text: str) -> None:
    assert text in refusal(issuer, forged(issuer, **claims))


@pytest.mark.parametrize("algorithm", ["RS384", "PS256"])
def test_one_algorithm_is_allowed(issuer: TokenIssuer, algorithm: str) -> None:
    # Without a use of its own the key would sign and verify with any RSA algorithm.
    key = RSAKey.import_key(issuer.key.as_pem(private=True), {"kid": str(issuer.key.kid)})
    token = jwt.encode(
        {"alg": algorithm, "kid": issuer.key.kid}, claims_of(issuer), key, algorithms=[algorithm]
    )
    assert "Invalid login token." in refusal(TokenIssuer(key=key, pool_id=POOL), token)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "", None])
def test_unsigned_is_refused(issuer: TokenIssuer, algorithm: str | None) -> None:
    header = {"alg": algorithm, "kid": issuer.key.kid}
    assert "Invalid login token." in refusal(issuer, assembled(header, claims_of(issuer)))


def test_the_public_key_is_no_shared_secret(issuer: TokenIssuer) -> None:
    header = {"alg": "HS256", "kid": issuer.key.kid}
    for secret in (issuer.key.as_pem(private=False), issuer.key.as_der(private=False)):
        token = assembled(header, claims_of(issuer), hmac_key=secret)
        assert "Invalid login token." in refusal(issuer, token)


@pytest.mark.parametrize("kid", ["another", None, 5, ""])
def test_the_key_must_be_named(issuer: TokenIssuer, kid: object) -> None:
    _, body, signature = issued(issuer).split(".")
    header = encoded({"alg": "RS256"} | ({} if kid is None else {"kid": kid}))
    assert "Invalid login token." in refusal(issuer, f"{header}.{body}.{signature}")


def claims_of(issuer: TokenIssuer) -> dict[str, Any]:
    return issuer.verify(issued(issuer), ME).claims


def encoded(part: dict[str, Any] | bytes) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def assembled(header: dict[str, Any], claims: dict[str, Any], hmac_key: bytes = b"") -> str:
    signed = f"{encoded(header)}.{encoded(claims)}"
    signature = hmac.digest(hmac_key, signed.encode(), "sha256") if hmac_key else b""
    return f"{signed}.{encoded(signature)}"


def test_another_pools_key_signs_nothing_here(issuer: TokenIssuer, tmp_path: Path) -> None:
    stranger = TokenIssuer(key=signing_key(tmp_path / "cognito.pem"), pool_id=POOL)
    assert "Invalid login token." in refusal(issuer, issued(stranger))
    under_our_name = RSAKey.import_key(
        (tmp_path / "cognito.pem").read_bytes(), {"kid": str(issuer.key.kid)}
    )
    forger = TokenIssuer(key=under_our_name, pool_id=POOL)
    assert refusal(issuer, issued(forger)) == "Invalid login token. Token signature invalid."


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b",
        "a.b.c",
        "....",
        "e30.e30.e30",
        "é.é.é",
        "a" * 50_000,
        "\ud800",
        "\x00.\x00.\x00",
    ],
)
def test_what_is_no_token_is_refused(issuer: TokenIssuer, token: str) -> None:
    assert refusal(issuer, token) == (
        "Invalid login token. Not a valid OpenId Connect identity token."
    ) or "Couldn't verify" in refusal(issuer, token)


def test_a_changed_signature_is_refused(issuer: TokenIssuer) -> None:
    header, body, signature = issued(issuer).split(".")
    changed = ("A" if signature[5] != "A" else "B").join((signature[:5], signature[6:]))
    assert refusal(issuer, f"{header}.{body}.{changed}") == (
        "Invalid login token. Token signature invalid."
    )
