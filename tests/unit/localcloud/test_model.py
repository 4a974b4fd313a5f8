"""The input rules are botocore's; the texts are those of AWS's front end."""

import json
import re

import pytest

from localcloud.cognito.errors import SerializationException, ValidationException
from localcloud.cognito.model import parse_input

DEVELOPER = "GetOpenIdTokenForDeveloperIdentity"
CREDENTIALS = "GetCredentialsForIdentity"
POOL = "us-east-1:11111111-2222-3333-4444-555555555555"


def parse(operation: str, **members: object) -> dict[str, object]:
    return parse_input(operation, json.dumps(members).encode())


def developer(**members: object) -> dict[str, object]:
    return parse(DEVELOPER, **({"IdentityPoolId": POOL, "Logins": {"p": "u"}} | members))


def test_what_the_model_allows_passes() -> None:
    given = developer(
        IdentityId=POOL,
        Logins={f"p{number}": "u" * 50_000 for number in range(10)},
        TokenDuration=86_400,
        PrincipalTags={f"{number:0128}": "v" * 256 for number in range(50)},
    )
    assert given["TokenDuration"] == 86_400


def test_unknown_and_null_members_are_left_out() -> None:
    assert developer(IdentityId=None, Extra=1) == {"IdentityPoolId": POOL, "Logins": {"p": "u"}}


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"IdentityPoolId": None}, "Value null at 'identityPoolId' failed"),
        ({"Logins": None}, "Value null at 'logins' failed"),
        ({"IdentityPoolId": ""}, "length greater than or equal to 1"),
        ({"IdentityPoolId": "x:" + "a" * 54}, "length less than or equal to 55"),
        ({"IdentityPoolId": "no-colon"}, r"pattern: [\w-]+:[0-9a-f-]+"),
        ({"IdentityPoolId": "us-east-1:ZZ"}, "pattern"),
        ({"IdentityPoolId": POOL + "\n"}, "pattern"),
        ({"IdentityPoolId": "ü:ab"}, "pattern"),
        ({"IdentityId": "*:ab"}, "'identityId'"),
        ({"Logins": {f"p{number}": "u" for number in range(11)}}, "less than or equal to 10"),
        ({"Logins": {"": "u"}}, "Map keys must satisfy"),
        ({"Logins": {"p": ""}}, "Map value must satisfy"),
        ({"Logins": {"p": "u" * 50_001}}, "less than or equal to 50000"),
        ({"TokenDuration": 0}, "value greater than or equal to 1"),
        ({"TokenDuration": 86_401}, "value less than or equal to 86400"),
        ({"PrincipalTags": {f"{number}": "v" for number in range(51)}}, "equal to 50"),
        ({"PrincipalTags": {"k" * 129: "v"}}, "equal to 128"),
        ({"PrincipalTags": {"k": "v" * 257}}, "equal to 256"),
    ],
)
def test_what_it_forbids_is_named(members: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationException) as caught:
        developer(**members)
    assert re.match(r"[12] validation errors? detected: ", caught.value.message)
    assert text in caught.value.message


def test_every_error_is_counted() -> None:
    with pytest.raises(ValidationException, match="3 validation errors detected: "):
        parse(DEVELOPER, IdentityPoolId="no", Logins={}, TokenDuration=0, IdentityId="no")


def test_a_token_is_never_echoed() -> None:
    with pytest.raises(ValidationException) as caught:
        parse(CREDENTIALS, IdentityId=POOL, Logins={"p": "secret" * 10_000})
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"IdentityId": 5}',
        b'{"IdentityId": "a:b", "Logins": ["p"]}',
        b'{"IdentityId": "a:b", "Logins": {"p": 1}}',
        b'{"IdentityId": "a:b", "Logins": {"p": null}}',
    ],
)
def test_other_types_cannot_be_read(body: bytes) -> None:
    with pytest.raises(SerializationException):
        parse_input(CREDENTIALS, body)


@pytest.mark.parametrize("duration", [True, 1.5, "900"])
def test_a_duration_is_a_whole_number(duration: object) -> None:
    with pytest.raises(SerializationException):
        developer(TokenDuration=duration)
