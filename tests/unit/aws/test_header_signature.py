"""botocore is the judge of signatures in headers, too."""

from datetime import datetime
from urllib.parse import quote

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from aws.signer.credentials import SigningCredentials
from aws.signer.header_sigv4 import authorized
from aws.signer.sigv4 import SigningDay, stamp_of
from tests.unit.aws.test_signature_v4 import HOST, REGION, credentials, object_keys, times

HEADERS = {"x-amz-checksum-mode": "ENABLED"}


@given(
    key=object_keys,
    keys=credentials,
    at=times,
    headers=st.sampled_from([{}, HEADERS, {"a": "b", "zz": "é y"}]),
)
def test_the_headers_are_botocores(
    key: str, keys: SigningCredentials, at: datetime, headers: dict[str, str]
) -> None:
    path, stamp = f"/{quote(key, safe='/')}", stamp_of(at)
    request = AWSRequest("HEAD", f"https://{HOST}{path}", headers=dict(headers))
    # With https botocore leaves the body out of the signature; of nothing there is nothing to hide.
    request.context["payload_signing_enabled"] = True
    held = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda *_, **__: at)
        auth.S3SigV4Auth(held, "s3", REGION).add_auth(request)
    expected = {name.lower(): str(value) for name, value in request.headers.items()}
    day = SigningDay(keys, stamp[:8], REGION)
    assert authorized(day, stamp, host=HOST, method="HEAD", path=path, headers=headers) == expected
