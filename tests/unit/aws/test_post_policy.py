"""botocore is the judge of forms too; the JSON of a policy may be spelt in other ways."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from aws.signer.credentials import SigningCredentials
from aws.signer.presigner import Presigner
from aws.signer.sigv4 import stamp_of
from service.uploads.signed import SignedForm
from tests.fakes.clock import START
from tests.unit.aws.test_presigner import BUCKET, ENDPOINT, KEYS, client, presigner
from tests.unit.aws.test_signature_v4 import REGION, credentials, object_keys, texts

_SIGNATURE = {"policy", "x-amz-signature"}


@pytest.fixture(scope="module", autouse=True)
def _botocores_clock() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda *_, **__: START)
        # Its own code also where awscrt is installed, which it would prefer.
        patch.setitem(auth.AUTH_TYPE_MAPS, "s3v4-query", auth.S3SigV4QueryAuth)
        yield


async def _form(ours: Presigner, key: str, content_type: str, largest: int = 10) -> SignedForm:
    return await ours.post(
        BUCKET,
        key,
        smallest=1,
        largest=largest,
        content_type=content_type,
        upload_id="u",
        seconds=600,
    )


def _policy(fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(fields["policy"]))
    return found


@given(key=object_keys, content_type=texts, keys=credentials)
async def test_botocore_gives_the_same_bytes_the_same_signature(
    key: str, content_type: str, keys: SigningCredentials
) -> None:
    form = await _form(presigner(keys), key, content_type)
    held = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    request = AWSRequest("POST", form.url)
    request.context["timestamp"] = stamp_of(START)
    theirs = auth.S3SigV4PostAuth(held, "s3", REGION).signature(form.fields["policy"], request)
    assert form.fields["x-amz-signature"] == theirs


@pytest.mark.parametrize("endpoint", [None, ENDPOINT])
@given(key=object_keys, content_type=texts, largest=st.integers(1, 5 * 1024**4))
async def test_the_policy_asks_what_botocores_would_ask(
    endpoint: str | None, key: str, content_type: str, largest: int
) -> None:
    form = await _form(presigner(endpoint=endpoint), key, content_type, largest)
    fields = {
        "Content-Type": content_type,
        "success_action_status": "201",
        "x-amz-meta-uploadgate-upload-id": "u",
    }
    conditions = [["content-length-range", 1, largest], *({n: v} for n, v in fields.items())]
    # A name that ends in `${filename}` would be botocore's to complete; ours are exact.
    presign = _client(endpoint).generate_presigned_post
    theirs = presign(BUCKET, key, Fields=fields, Conditions=conditions, ExpiresIn=600)
    assert form.url.rstrip("/") == theirs["url"].rstrip("/")
    assert set(form.fields) == set(theirs["fields"])
    for name in set(form.fields) - _SIGNATURE:
        assert form.fields[name] == theirs["fields"][name]
    ours, other = _policy(form.fields), _policy(theirs["fields"])
    assert sorted(ours.pop("conditions"), key=str) == sorted(other.pop("conditions"), key=str)
    assert ours == {"expiration": "2030-01-01T00:10:00Z"}


_clients: dict[str | None, Any] = {}


def _client(endpoint: str | None) -> Any:
    if endpoint not in _clients:
        _clients[endpoint] = client(endpoint=endpoint)
    return _clients[endpoint]


@given(key=object_keys, content_type=texts, keys=credentials)
async def test_every_field_of_a_form_is_held_to_its_value(
    key: str, content_type: str, keys: SigningCredentials
) -> None:
    """S3 refuses a field that no condition names, and takes anything for one that is not exact."""
    form = await _form(presigner(keys), key, content_type)
    conditions = _policy(form.fields)["conditions"]
    for name, value in form.fields.items():
        if name not in _SIGNATURE:
            assert {name: value} in conditions
    assert {"bucket": BUCKET} in conditions


async def test_a_form_of_a_long_lived_key_has_no_token() -> None:
    keys = SigningCredentials("AKIAEXAMPLE", KEYS.secret_access_key)
    assert "x-amz-security-token" not in (await _form(presigner(keys), "k", "text/plain")).fields
