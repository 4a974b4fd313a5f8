"""A versioned bucket: the same bytes put again, and the verified version removed since."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.integration import store
from tests.integration.stack import Stack, User, eventually

CONTENT = b"the same bytes"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def versioned(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    directory = tmp_path_factory.mktemp("versioned")
    async with Stack.running(directory) as running:
        await asyncio.to_thread(
            store.service(running).put_bucket_versioning,
            Bucket=running.cloud.bucket,
            VersioningConfiguration={"Status": "Enabled"},
        )
        yield running


async def announced(stack: Stack, user: User) -> dict[str, Any]:
    body = {"filename": "a.bin", "size": len(CONTENT)}
    answer = await stack.api.post("/v1/uploads", headers=user.headers, json=body)
    upload: dict[str, Any] = answer.json()
    return upload


async def downloaded(stack: Stack, user: User, upload: dict[str, Any]) -> httpx.Response | None:
    """None while the answer is to wait."""
    address = f"/v1/uploads/{upload['id']}/download"
    signed = await stack.api.get(address, headers=user.headers)
    if signed.status_code == 409:
        assert (signed.json()["code"], signed.json()["retry_mode"]) == ("upload_state", "wait")
        return None
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return await client.get(signed.json()["url"])


async def test_a_download_outlives_the_version_that_was_verified(versioned: Stack) -> None:
    user = await versioned.user()
    mine = store.client(await store.credentials(versioned, user))
    upload = await announced(versioned, user)
    place = store.place(upload)
    first = await asyncio.to_thread(mine.put_object, **place, Body=CONTENT)
    done = await versioned.upload_becomes(user, upload["id"], "completed")
    second = await asyncio.to_thread(mine.put_object, **place, Body=CONTENT)
    assert done["version_id"] == first["VersionId"] != second["VersionId"]

    found = await downloaded(versioned, user, upload)
    assert found is not None
    assert (found.status_code, found.headers["x-amz-version-id"]) == (200, first["VersionId"])

    await asyncio.to_thread(
        store.service(versioned).delete_object, **place, VersionId=first["VersionId"]
    )
    found = await eventually(lambda: downloaded(versioned, user, upload), "it can be downloaded")
    assert (found.status_code, found.content) == (200, CONTENT)
    assert found.headers["x-amz-version-id"] == second["VersionId"]
    done = await versioned.upload_becomes(user, upload["id"], "completed")
    assert done["version_id"] == second["VersionId"]
