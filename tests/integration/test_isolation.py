"""Temporary credentials of one user, in another user's folder: the store itself refuses."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.integration import store
from tests.integration.stack import Stack, User


async def _with_object(stack: Stack, user: User) -> tuple[dict[str, Any], str]:
    """This user's keys and one object of theirs."""
    keys = await store.credentials(stack, user)
    key = f"{keys['key_prefix']}mine.txt"
    await asyncio.to_thread(
        store.client(keys).put_object, Bucket=keys["bucket"], Key=key, Body=b"mine"
    )
    return keys, key


Attempt = Callable[[Any, str, str, str], Any]

ATTEMPTS: dict[str, Attempt] = {
    "put": lambda s3, bucket, _own, other: s3.put_object(Bucket=bucket, Key=other, Body=b"x"),
    "multipart": lambda s3, bucket, _own, other: s3.create_multipart_upload(
        Bucket=bucket, Key=other
    ),
    "list": lambda s3, bucket, _own, other: s3.list_objects_v2(
        Bucket=bucket, Prefix=other.split("/")[0] + "/"
    ),
    "list the bucket": lambda s3, bucket, _own, _other: s3.list_objects_v2(Bucket=bucket),
    "get": lambda s3, bucket, _own, other: s3.get_object(Bucket=bucket, Key=other),
    "delete": lambda s3, bucket, _own, other: s3.delete_object(Bucket=bucket, Key=other),
    "copy from": lambda s3, bucket, own, other: s3.copy_object(
        Bucket=bucket, Key=own + ".copy", CopySource={"Bucket": bucket, "Key": other}
    ),
    "copy to": lambda s3, bucket, own, other: s3.copy_object(
        Bucket=bucket, Key=other, CopySource={"Bucket": bucket, "Key": own}
    ),
    "dots": lambda s3, bucket, own, other: s3.put_object(
        Bucket=bucket, Key=f"{own.split('/')[0]}/../{other}", Body=b"x"
    ),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_one_users_credentials_are_refused_in_anothers_folder(
    stack: Stack, attempt: str
) -> None:
    one, another = await stack.user(), await stack.user()
    keys, own = await _with_object(stack, one)
    _, other = await _with_object(stack, another)
    with pytest.raises(ClientError) as refused:
        await asyncio.to_thread(ATTEMPTS[attempt], store.client(keys), keys["bucket"], own, other)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in {400, 403}


async def test_a_part_of_anothers_multipart_is_refused(stack: Stack) -> None:
    one, another = await stack.user(), await stack.user()
    keys = await store.credentials(stack, one)
    theirs = await store.credentials(stack, another)
    place = {"Bucket": theirs["bucket"], "Key": f"{theirs['key_prefix']}big.bin"}
    begun = await asyncio.to_thread(store.client(theirs).create_multipart_upload, **place)
    for call in ("upload_part", "abort_multipart_upload", "list_parts"):
        more = {"PartNumber": 1, "Body": b"x"} if call == "upload_part" else {}
        with pytest.raises(ClientError) as refused:
            await asyncio.to_thread(
                getattr(store.client(keys), call), **place, UploadId=begun["UploadId"], **more
            )
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    await asyncio.to_thread(
        store.client(theirs).abort_multipart_upload, **place, UploadId=begun["UploadId"]
    )


async def test_the_default_role_is_write_only(stack: Stack) -> None:
    keys, own = await _with_object(stack, await stack.user())
    with pytest.raises(ClientError) as refused:
        await asyncio.to_thread(store.client(keys).get_object, Bucket=keys["bucket"], Key=own)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize("part", ["filer", "volume", "master", "s3"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
async def test_anonymous_requests_are_refused_everywhere(
    stack: Stack, part: str, method: str
) -> None:
    keys, own = await _with_object(stack, await stack.user())
    paths = {
        "filer": [f"/buckets/{keys['bucket']}/{own}", f"/buckets/{keys['bucket']}/", "/"],
        "volume": ["/1,01abcdef", "/status", "/ui/index.html"],
        "master": ["/dir/assign", "/dir/lookup?volumeId=1", "/vol/grow?count=1", "/"],
        "s3": [f"/{keys['bucket']}/{own}", f"/{keys['bucket']}"],
    }
    port = getattr(stack.cloud.ports, part)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as anyone:
        for path in paths[part]:
            try:
                answer = await anyone.request(
                    method, f"http://127.0.0.1:{port}{path}", content=b"x"
                )
            except httpx.TransportError:
                continue  # closed in the middle of the handshake: refused
            assert answer.status_code in {400, 401, 403, 404, 405, 501}, (path, answer.text)


async def test_a_token_of_one_identity_buys_no_credentials_for_another(stack: Stack) -> None:
    one, another = await stack.user(), await stack.user()
    grants = [
        (await stack.api.post("/v1/credentials", headers=user.headers)).json()
        for user in (one, another)
    ]
    async with httpx.AsyncClient(trust_env=False, timeout=60) as anyone:
        answer = await anyone.post(
            stack.cloud.cognito_endpoint,
            headers={
                "X-Amz-Target": "AWSCognitoIdentityService.GetCredentialsForIdentity",
                "Content-Type": "application/x-amz-json-1.1",
            },
            json={"IdentityId": grants[1]["identity_id"], "Logins": grants[0]["logins"]},
        )
    assert answer.status_code == 400
    assert answer.json()["__type"] == "NotAuthorizedException"


async def test_a_user_keeps_one_identity_and_folder(stack: Stack) -> None:
    user = await stack.user()

    async def prefix() -> str:
        answer = await stack.api.post("/v1/credentials", headers=user.headers)
        found: str = answer.json()["key_prefix"]
        return found

    assert await prefix() == await prefix()
