"""boto3 at the embedded store, as a user's own client would be set up, and as the service is."""

import asyncio
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.integration.stack import Stack, User


async def credentials(stack: Stack, user: User) -> dict[str, Any]:
    """By the service's exchange."""
    answer = await stack.api.post("/v1/credentials/exchange", headers=user.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def client(keys: dict[str, Any]) -> Any:
    return boto3.client(
        "s3",
        region_name=keys["region"],
        endpoint_url=keys["endpoint"],
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
        aws_session_token=keys["session_token"],
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=30,
            read_timeout=60,
        ),
    )


def service(stack: Stack) -> Any:
    """With the service's own key, which may do everything: for looking at what is really there,
    and for what a lifecycle rule or another replica does.
    """
    keys = {
        "region": stack.cloud.region,
        "endpoint": stack.cloud.s3_endpoint,
        "access_key_id": stack.cloud.service_access_key_id,
        "secret_access_key": stack.cloud.service_secret_access_key,
        "session_token": None,
    }
    return client(keys)


def place(upload: Any) -> dict[str, Any]:
    return {"Bucket": upload["bucket"], "Key": upload["key"]}


async def head(stack: Stack, upload: Any) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = await asyncio.to_thread(service(stack).head_object, **place(upload))
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        return None
    return found


async def gone(stack: Stack, upload: Any) -> bool:
    return await head(stack, upload) is None


async def multiparts(stack: Stack, upload: Any) -> list[str]:
    """The ids of all that are under way at the upload's key."""
    found = await asyncio.to_thread(
        service(stack).list_multipart_uploads, Bucket=upload["bucket"], Prefix=upload["key"]
    )
    return [entry["UploadId"] for entry in found.get("Uploads", [])]


async def no_multipart(stack: Stack, upload: Any) -> bool:
    return await multiparts(stack, upload) == []


async def abort(stack: Stack, upload: Any) -> None:
    """The multipart of an upload, from outside, as a lifecycle rule would."""
    await asyncio.to_thread(
        service(stack).abort_multipart_upload,
        **place(upload),
        UploadId=upload["multipart"]["upload_id"],
    )


async def complete(stack: Stack, upload: Any) -> None:
    """The multipart of an upload, from outside, as a call whose answer is then lost."""
    s3 = service(stack)
    named = {**place(upload), "UploadId": upload["multipart"]["upload_id"]}
    listed = await asyncio.to_thread(s3.list_parts, **named)
    parts = [{name: part[name] for name in ("PartNumber", "ETag")} for part in listed["Parts"]]
    await asyncio.to_thread(s3.complete_multipart_upload, **named, MultipartUpload={"Parts": parts})
