"""Signed by real botocore, then tampered with, part by part."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localcloud.cognito.errors import (
    ApiError,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    UnrecognizedClientException,
)
from localcloud.cognito.signature import SignatureVerifier, SignedRequest

KEY, SECRET, REGION = "AKIAEXAMPLE", "a-secret", "eu-west-1"
BODY = b'{"IdentityPoolId":"eu-west-1:1"}'
VERIFIER = SignatureVerifier(access_key_id=KEY, secret_access_key=SECRET, region=REGION)


def signed(
    *,
    key: str = KEY,
    secret: str = SECRET,
    token: str | None = None,
    service: str = "cognito-identity",
    region: str = REGION,
) -> SignedRequest:
    request = AWSRequest(
        method="POST",
        url="http://127.0.0.1:8334/",
        data=BODY,
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AWSCognitoIdentityService.GetOpenIdTokenForDeveloperIdentity",
        },
    )
    SigV4Auth(Credentials(key, secret, token), service, region).add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return SignedRequest(
        method="POST",
        path="/",
        query="",
        headers={"host": "127.0.0.1:8334", **headers},
        body=BODY,
    )


def with_header(request: SignedRequest, name: str, value: str | None) -> SignedRequest:
    headers = {key: kept for key, kept in request.headers.items() if key != name}
    return replace(request, headers=headers if value is None else {**headers, name: value})


def edited(request: SignedRequest, old: str, new: str) -> SignedRequest:
    authorization = request.headers["authorization"]
    assert old in authorization
    return with_header(request, "authorization", authorization.replace(old, new))


def refusal(request: SignedRequest, now: datetime | None = None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        VERIFIER.verify(request, now=now)
    return caught.value


def test_what_botocore_signs_is_accepted() -> None:
    VERIFIER.verify(signed())


def test_unsigned_is_refused() -> None:
    request = with_header(signed(), "authorization", None)
    assert isinstance(refusal(request), MissingAuthenticationTokenException)


TAMPERED: dict[str, Callable[[], SignedRequest]] = {
    "body": lambda: replace(signed(), body=BODY + b" "),
    "method": lambda: replace(signed(), method="PUT"),
    "path": lambda: replace(signed(), path="/other"),
    "query": lambda: replace(signed(), query="a=b"),
    "host": lambda: with_header(signed(), "host", "elsewhere"),
    "target": lambda: with_header(
        signed(), "x-amz-target", "AWSCognitoIdentityService.DeleteIdentities"
    ),
    "secret": lambda: signed(secret="another"),
    "signature": lambda: edited(signed(), "Signature=", "Signature=0"),
}


@pytest.mark.parametrize("part", TAMPERED)
def test_every_signed_part_counts(part: str) -> None:
    """Signed when the test runs: a signature is good for five minutes."""
    error = refusal(TAMPERED[part]())
    assert isinstance(error, InvalidSignatureException)
    assert "does not match the signature you provided" in error.message


def test_a_claimed_body_hash_is_not_believed() -> None:
    request = with_header(signed(), "x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    request = edited(request, "SignedHeaders=", "SignedHeaders=x-amz-content-sha256;")
    assert isinstance(refusal(request), InvalidSignatureException)


@pytest.mark.parametrize("name", ["host", "x-amz-target", "x-amz-date"])
def test_headers_that_matter_must_be_signed(name: str) -> None:
    signed_names = "content-type;host;x-amz-date;x-amz-target"
    fewer = ";".join(part for part in signed_names.split(";") if part != name)
    error = refusal(edited(signed(), signed_names, fewer))
    assert error.message == f"'{name}' must be a signed header in the request."


@pytest.mark.parametrize("request_", [signed(key="AKIAOTHER"), signed(token="a-session")])
def test_strangers_keys_are_unknown(request_: SignedRequest) -> None:
    assert isinstance(refusal(request_), UnrecognizedClientException)


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (signed(region="us-east-1"), "valid region"),
        (signed(service="s3"), "correct service"),
        (edited(signed(), "aws4_request", "aws4_other"), "credential scope"),
        (edited(signed(), f"{KEY}/20", f"{KEY}/19"), "credential scope"),
    ],
)
def test_the_scope_is_checked(request_: SignedRequest, text: str) -> None:
    assert text in refusal(request_).message


@pytest.mark.parametrize(
    ("minutes", "text"), [(6, "Signature expired: "), (-6, "Signature not yet current: ")]
)
def test_clocks_may_differ_by_five_minutes(minutes: int, text: str) -> None:
    now = datetime.now(UTC)
    VERIFIER.verify(signed(), now=now + timedelta(minutes=minutes * 0.8))
    assert refusal(signed(), now=now + timedelta(minutes=minutes)).message.startswith(text)


@pytest.mark.parametrize(
    "authorization",
    ["Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host", "\x00"],
)
def test_half_a_header_is_incomplete(authorization: str) -> None:
    request = with_header(signed(), "authorization", authorization)
    assert isinstance(refusal(request), IncompleteSignatureException)


@pytest.mark.parametrize("date", [None, "", "today", "20200101T000000"])
def test_a_date_is_needed(date: str | None) -> None:
    request = with_header(signed(), "x-amz-date", date)
    assert isinstance(refusal(request), IncompleteSignatureException)
