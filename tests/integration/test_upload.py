import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from tests.integration import store
from tests.integration.stack import Stack, eventually

_MIB = 1024 * 1024


async def _announce(stack: Stack, headers: dict[str, str], size: int, **more: Any) -> Any:
    body = {"filename": "Übung 1.bin", "size": size, "content_type": "video/mp4", **more}
    answer = await stack.api.post("/v1/uploads", headers=headers, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_an_announced_file_sent_in_parts_completes_by_the_stores_webhook(
    stack: Stack, tmp_path: Path
) -> None:
    user = await stack.user()
    keys = await store.credentials(stack, user)
    path = tmp_path / "video.bin"
    path.write_bytes(os.urandom(17 * _MIB))
    upload = await _announce(stack, user.headers, 17 * _MIB, metadata={"album": "été"})
    assert upload["key"].startswith(keys["key_prefix"])

    parts = TransferConfig(multipart_threshold=5 * _MIB, multipart_chunksize=5 * _MIB)
    await asyncio.to_thread(
        store.client(keys).upload_file, str(path), upload["bucket"], upload["key"], Config=parts
    )

    done = await stack.upload_becomes(user, upload["id"], "completed")
    assert done["size"] == 17 * _MIB
    assert done["etag"].endswith("-4")
    assert done["filename"] == "Übung 1.bin"
    assert done["metadata"] == {"album": "été"}
    assert done["completed_at"] is not None


async def test_an_object_without_a_record_is_adopted(stack: Stack) -> None:
    user = await stack.user()
    keys = await store.credentials(stack, user)
    key = f"{keys['key_prefix']}notes & more/a b+c%é😀.txt"
    await asyncio.to_thread(
        store.client(keys).put_object, Bucket=keys["bucket"], Key=key, Body=b"hello"
    )

    async def adopted() -> Any:
        answer = await stack.api.get("/v1/uploads?status=completed", headers=user.headers)
        return answer.json()["items"]

    [upload] = await eventually(adopted, "an adopted record")
    assert (upload["origin"], upload["key"], upload["size"]) == ("adopted", key, 5)
    assert upload["filename"] == "a b+c%é😀.txt"


async def test_a_file_of_another_size_is_rejected_and_deleted(stack: Stack) -> None:
    user = await stack.user()
    keys = await store.credentials(stack, user)
    upload = await _announce(stack, user.headers, 10)
    await asyncio.to_thread(
        store.client(keys).put_object, Bucket=upload["bucket"], Key=upload["key"], Body=b"x" * 11
    )
    rejected = await stack.upload_becomes(user, upload["id"], "rejected")
    assert rejected["status_reason"] == "10 bytes were announced, 11 arrived"
    await eventually(lambda: _gone(stack, upload), "the object is gone")


async def _gone(stack: Stack, upload: Any) -> bool:
    service = {
        "region": stack.cloud.region,
        "endpoint": stack.cloud.s3_endpoint,
        "access_key_id": stack.cloud.service_access_key_id,
        "secret_access_key": stack.cloud.service_secret_access_key,
        "session_token": None,
    }
    found = await asyncio.to_thread(
        store.client(service).list_objects_v2, Bucket=upload["bucket"], Prefix=upload["key"]
    )
    return bool(found["KeyCount"] == 0)


async def test_deleting_a_completed_upload_deletes_its_object(stack: Stack) -> None:
    user = await stack.user()
    keys = await store.credentials(stack, user)
    upload = await _announce(stack, user.headers, 3)
    await asyncio.to_thread(
        store.client(keys).put_object, Bucket=upload["bucket"], Key=upload["key"], Body=b"abc"
    )
    await stack.upload_becomes(user, upload["id"], "completed")
    answer = await stack.api.delete(f"/v1/uploads/{upload['id']}", headers=user.headers)
    assert answer.json()["status"] == "deleted"
    assert await _gone(stack, upload)


async def test_bytes_that_come_after_an_abort_are_deleted(stack: Stack) -> None:
    user = await stack.user()
    keys = await store.credentials(stack, user)
    upload = await _announce(stack, user.headers, 3)
    answer = await stack.api.delete(f"/v1/uploads/{upload['id']}", headers=user.headers)
    assert answer.json()["status"] == "aborted"
    await asyncio.to_thread(
        store.client(keys).put_object, Bucket=upload["bucket"], Key=upload["key"], Body=b"abc"
    )
    await eventually(lambda: _gone(stack, upload), "the late object is gone")


async def test_writing_a_completed_object_again_is_told_as_replaced(stack: Stack) -> None:
    user = await stack.user()
    keys = await store.credentials(stack, user)
    upload = await _announce(stack, user.headers, 3)
    put = store.client(keys).put_object
    await asyncio.to_thread(put, Bucket=upload["bucket"], Key=upload["key"], Body=b"abc")
    first = await stack.upload_becomes(user, upload["id"], "completed")
    await asyncio.to_thread(put, Bucket=upload["bucket"], Key=upload["key"], Body=b"xyz")
    second = await stack.upload_becomes(user, upload["id"], "replaced")
    assert first["etag"] != second["etag"]


async def test_another_users_upload_does_not_exist(stack: Stack) -> None:
    user, other = await stack.user(), await stack.user()
    upload = await _announce(stack, user.headers, 3)
    for method in ("GET", "DELETE"):
        answer = await stack.api.request(
            method, f"/v1/uploads/{upload['id']}", headers=other.headers
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "upload_not_found")


async def test_an_object_whose_event_is_large_is_adopted(stack: Stack) -> None:
    """The filer tells of every chunk and all metadata: more than any call of the API may send."""
    user = await stack.user()
    keys = await store.credentials(stack, user)
    key = f"{keys['key_prefix']}large-event.bin"
    await asyncio.to_thread(
        store.client(keys).put_object,
        Bucket=keys["bucket"],
        Key=key,
        Body=b"x",
        Metadata={f"a{number}": "x" * 2000 for number in range(40)},
    )

    async def adopted() -> Any:
        answer = await stack.api.get("/v1/uploads?status=completed", headers=user.headers)
        return answer.json()["items"]

    [upload] = await eventually(adopted, "an adopted record")
    assert upload["key"] == key


UNREADABLE: dict[str, dict[str, Any]] = {
    "headers": {"Metadata": {"a": "x" * 200_000}},
    "encrypted": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)},
}


@pytest.mark.parametrize("because", UNREADABLE)
async def test_an_object_that_the_service_cannot_read_is_rejected_and_deleted(
    stack: Stack, because: str
) -> None:
    """Headers beyond S3's limits, or the client's own key (SSE-C): nothing could be verified."""
    user = await stack.user()
    keys = await store.credentials(stack, user)
    upload = await _announce(stack, user.headers, 5)
    place = {"Bucket": upload["bucket"], "Key": upload["key"]}
    await asyncio.to_thread(
        store.client(keys).put_object, **place, Body=b"hello", **UNREADABLE[because]
    )
    rejected = await stack.upload_becomes(user, upload["id"], "rejected")
    assert because in rejected["status_reason"]
    await eventually(lambda: _gone(stack, upload), "the object is gone")
