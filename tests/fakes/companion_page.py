"""What a page with stock Uppy in its Companion mode does, call by call."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.fakes.house import House
from tests.fakes.s3_api import S3Api
from tests.fakes.uppy_page import UPLOADS

TICKETS = "/v1/uppy/tickets"
FILE = {"filename": "Übung 1.mp4", "type": "video/mp4", "metadata": {}}


class CompanionPage:
    """With a ticket; calls without any token, as the browser does."""

    def __init__(self, house: House, client: httpx.AsyncClient, s3: S3Api) -> None:
        self.house, self.client, self.s3 = house, client, s3
        self.token = {"Authorization": f"Bearer {house.token}"}
        self.root = ""

    async def get_ticket(self, **body: Any) -> None:
        answer = await self.client.post(TICKETS, json=body, headers=self.token)
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "no-store"
        self.root = urlsplit(answer.json()["companion_endpoint"]).path + "/s3"

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = await self.client.request(method, self.root + path, **more)
        assert answer.headers["cache-control"] == "no-store"
        return answer

    async def said(self, method: str, path: str, **more: Any) -> Any:
        answer = await self.call(method, path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def uploads(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.client.get(UPLOADS, headers=self.token)).json()[
            "items"
        ]
        return found

    async def record(self, key: str) -> dict[str, Any]:
        [found] = [upload for upload in await self.uploads() if upload["key"] == key]
        return found


class Begun:
    """A multipart that Uppy has begun."""

    def __init__(self, page: CompanionPage, key: str, upload_id: str) -> None:
        self.page, self.key, self.id = page, key, upload_id
        self.path = f"/multipart/{quote(upload_id, safe='')}"
        self.where = {"params": {"key": key}}

    async def complete(self, named: dict[int, str], **more: Any) -> httpx.Response:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in named.items()]
        return await self.page.call(
            "POST", f"{self.path}/complete", json={"parts": parts}, **self.where, **more
        )


@pytest.fixture
async def companion(house: House, caller: httpx.AsyncClient) -> AsyncIterator[CompanionPage]:
    s3 = S3Api()
    house.stub.answer = s3
    async with house.client() as client:
        opened = CompanionPage(house, client, s3)
        await opened.get_ticket()
        yield opened


@pytest.fixture
async def companion_begun(companion: CompanionPage) -> Begun:
    said = await companion.said("POST", "/multipart", json=FILE)
    assert set(said) == {"key", "uploadId"}
    return Begun(companion, said["key"], said["uploadId"])


async def every_call(page: CompanionPage) -> list[httpx.Response]:
    where = {"params": {"key": "k"}}
    return [
        await page.call("GET", "/params?filename=a.txt"),
        await page.call("POST", "/multipart", json=FILE),
        await page.call("GET", "/multipart/x", **where),
        await page.call("GET", "/multipart/x/1", **where),
        await page.call("GET", "/multipart/x/batch", params={"key": "k", "partNumbers": "1"}),
        await page.call("POST", "/multipart/x/complete", json={"parts": []}, **where),
        await page.call("DELETE", "/multipart/x", **where),
        await page.call("GET", "/sts"),
    ]
