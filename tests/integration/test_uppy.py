"""Stock Uppy 6 in a real browser, in all three of its modes, at the real service and store."""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import pytest_asyncio

from tests.fakes.http_stub import HttpStub, Reply, Request
from tests.integration import store
from tests.integration.browser import CHROMIUM, Browser, Page, PageError
from tests.integration.stack import Stack, User, eventually

_MIB = 1024 * 1024
_BIN = Path(sys.executable).parent
_UPPY = Path(__file__).parents[1] / "stock" / "uppy"
_HTML = b'<!doctype html><meta charset="utf-8"><script src="/page.js"></script>'

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt: chromium)")


async def _bundle(folder: Path) -> bytes:
    bundled = folder / "page.js"
    process = await asyncio.create_subprocess_exec(
        *(_BIN / "node", _UPPY / "node_modules/esbuild/bin/esbuild", _UPPY / "page.mjs"),
        *("--bundle", "--format=iife", "--log-level=warning", f"--outfile={bundled}"),
    )
    async with asyncio.timeout(120):
        assert await process.wait() == 0
    return bundled.read_bytes()


def _site(script: bytes) -> Callable[[Request], Reply]:
    def answer(request: Request) -> Reply:
        if request.target == "/page.js":
            return Reply(body=script, headers={"Content-Type": "text/javascript"})
        return Reply(body=_HTML, headers={"Content-Type": "text/html"})

    return answer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The application's own site, another origin than the service and the store."""
    async with HttpStub.serving(_site(await _bundle(tmp_path_factory.mktemp("site")))) as stub:
        yield stub.url


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory, site: str) -> AsyncIterator[Stack]:
    async with Stack.running(tmp_path_factory.mktemp("uppy"), origin=site) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with Browser.running(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, site: str) -> AsyncIterator[Page]:
    async with browser.page(site) as opened:
        yield opened


async def _upload(page: Page, shop: Stack, user: User, mode: str, **task: Any) -> Any:
    """What stock Uppy makes of one file of three parts, or of what `task` says otherwise."""
    defaults = {
        "api": shop.service.url,
        "token": user.token,
        "mode": mode,
        "announce": {"credentials": "credentials", "signed": "presigned"}.get(mode),
        "name": "Übung 1.bin",
        "type": "video/mp4",
        "size": 12 * _MIB,
        "multipart": True,
    }
    return await page.call("uploadgate.upload", defaults | task)


async def _record(shop: Stack, user: User, status: str) -> dict[str, Any]:
    """The one record of this user, once it is in this state."""

    async def found() -> Any:
        answer = await shop.api.get("/v1/uploads", headers=user.headers)
        items = answer.json()["items"]
        assert len(items) <= 1
        return [item for item in items if item["status"] == status]

    [upload] = await eventually(found, f"the record is {status}")
    return dict(upload)


async def _stored(shop: Stack, upload: dict[str, Any]) -> str:
    """The SHA-256 of what the store has."""
    client = store.client(_service_keys(shop))
    place = {"Bucket": upload["bucket"], "Key": upload["key"]}
    answer = await asyncio.to_thread(client.get_object, **place)
    return hashlib.sha256(await asyncio.to_thread(answer["Body"].read)).hexdigest()


def _service_keys(shop: Stack) -> dict[str, Any]:
    return {
        "region": shop.cloud.region,
        "endpoint": shop.cloud.s3_endpoint,
        "access_key_id": shop.cloud.service_access_key_id,
        "secret_access_key": shop.cloud.service_secret_access_key,
        "session_token": None,
    }


MODES = ("credentials", "signed", "companion")


@pytest.mark.parametrize("mode", MODES)
async def test_a_file_in_parts_is_completed(page: Page, shop: Stack, mode: str) -> None:
    user = await shop.user()
    told = await _upload(page, shop, user, mode)
    assert (told["parts"], told["failed"], told["events"]) == ([1, 2, 3], [], [])
    upload = await _record(shop, user, "completed")
    [answer] = told["successful"]
    assert answer["key"] == upload["key"]
    assert unquote(answer["location"]).endswith(f"/{upload['key']}")
    assert (upload["size"], upload["filename"]) == (12 * _MIB, "Übung 1.bin")
    assert upload["content_type"] == "video/mp4"
    assert await _stored(shop, upload) == told["sha256"]


@pytest.mark.parametrize("size", [0, 1, 100_000])
@pytest.mark.parametrize("mode", MODES)
async def test_a_small_file_goes_in_one_request(
    page: Page, shop: Stack, mode: str, size: int
) -> None:
    user = await shop.user()
    told = await _upload(page, shop, user, mode, size=size, multipart=False, name="a b+c.txt")
    assert (told["parts"], told["failed"], told["events"]) == ([], [], [])
    upload = await _record(shop, user, "completed")
    assert told["successful"][0]["key"] == upload["key"]
    assert (upload["size"], upload["filename"]) == (size, "a b+c.txt")
    assert await _stored(shop, upload) == told["sha256"]


async def test_a_file_that_the_service_would_have_cut_may_go_in_one_request(
    page: Page, shop: Stack
) -> None:
    """Uppy's own threshold is 100 MiB. The multipart that was made for it is cleared away."""
    user = await shop.user()
    told = await _upload(page, shop, user, "signed", multipart=False)
    assert (told["parts"], told["failed"]) == ([], [])
    upload = await _record(shop, user, "completed")
    assert await _stored(shop, upload) == told["sha256"]
    client = store.client(_service_keys(shop))
    await eventually(lambda: _no_multipart_at(client, upload), "no multipart is left")


@pytest.mark.parametrize("mode", MODES)
async def test_a_paused_upload_goes_on_with_what_is_missing(
    page: Page, shop: Stack, mode: str
) -> None:
    user = await shop.user()
    told = await _upload(page, shop, user, mode, interrupt="pause")
    assert (told["parts"], told["failed"]) == ([1, 2, 3], [])
    upload = await _record(shop, user, "completed")
    assert await _stored(shop, upload) == told["sha256"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_page_opened_anew_goes_on_with_what_is_missing(
    browser: Browser, site: str, shop: Stack, mode: str
) -> None:
    """As Uppy's Golden Retriever does it: it keeps the key and the multipart's id."""
    user = await shop.user()
    async with browser.page(site) as first:
        left = await _upload(first, shop, user, mode, interrupt="leave")
    assert (left["left"], left["parts"]) == (True, [1])
    async with browser.page(site) as second:
        told = await _upload(second, shop, user, mode, resume=left["multipart"])
    assert (told["failed"], told["progress"]) == ([], 12 * _MIB)
    assert told["parts"] == [2, 3]
    upload = await _record(shop, user, "completed")
    assert await _stored(shop, upload) == told["sha256"]


@pytest.mark.parametrize("mode", ["signed", "companion"])
async def test_a_cancelled_upload_is_aborted_and_leaves_nothing(
    page: Page, shop: Stack, mode: str
) -> None:
    user = await shop.user()
    await _upload(page, shop, user, mode, interrupt="cancel")
    upload = await _record(shop, user, "aborted")
    client = store.client(_service_keys(shop))
    await eventually(lambda: _nothing_at(client, upload), "no multipart is left")


async def _nothing_at(client: Any, upload: dict[str, Any]) -> bool:
    place = {"Bucket": upload["bucket"], "Prefix": upload["key"]}
    objects = await asyncio.to_thread(client.list_objects_v2, **place)
    return objects["KeyCount"] == 0 and await _no_multipart_at(client, upload)


async def _no_multipart_at(client: Any, upload: dict[str, Any]) -> bool:
    place = {"Bucket": upload["bucket"], "Prefix": upload["key"]}
    listed = await asyncio.to_thread(client.list_multipart_uploads, **place)
    return not listed.get("Uploads")


async def test_a_file_with_credentials_and_no_record_is_adopted(page: Page, shop: Stack) -> None:
    user = await shop.user()
    told = await _upload(page, shop, user, "credentials", announce=None, folder="uppy")
    upload = await _record(shop, user, "completed")
    assert (upload["origin"], upload["size"]) == ("adopted", 12 * _MIB)
    assert told["successful"][0]["key"] == upload["key"]


async def test_a_page_of_another_site_can_call_nothing(browser: Browser, shop: Stack) -> None:
    """What lets the others in is the list of origins."""
    user = await shop.user()
    script = await _bundle(shop.directory)
    async with HttpStub.serving(_site(script)) as stub, browser.page(stub.url) as elsewhere:
        for mode in MODES:
            with pytest.raises(PageError, match="Failed to fetch"):
                await _upload(elsewhere, shop, user, mode)


async def test_no_address_that_anybody_could_use_reaches_the_services_log(
    page: Page, shop: Stack
) -> None:
    user = await shop.user()
    for mode in ("signed", "companion"):
        await _upload(page, shop, user, mode)
    log = shop.service.log.read_text()
    assert "/v1/s3/multipart/{ticket}" in log
    assert "/v1/uppy/{ticket}/s3/multipart/{multipart_id}/complete" in log
    assert [secret for secret in ("upt_", "X-Amz-Signature", user.token) if secret in log] == []
