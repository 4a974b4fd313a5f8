"""What a page with stock Uppy does, call by call, against a service whose store is an S3Api."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import httpx
import pytest

from tests.fakes.house import House
from tests.fakes.problems import assert_problem
from tests.fakes.s3_api import S3Api

MIB = 1024 * 1024
SIZES = (5 * MIB, 5 * MIB, 7)
PRESIGN, UPLOADS = "/v1/s3/presign", "/v1/uploads"


class Xml:
    """One answer, its namespace left out."""

    def __init__(self, answer: httpx.Response) -> None:
        # Uppy reads an error's code only where the type is exactly this.
        assert answer.headers["content-type"] == "application/xml"
        assert answer.headers["cache-control"] == "no-store"
        assert "/>" not in answer.text  # which Uppy's reader cannot take
        plain = re.sub(r' xmlns="[^"]+"', "", answer.text)
        self.root = ET.fromstring(plain)  # noqa: S314 - our own
        self.status = answer.status_code

    def __getitem__(self, name: str) -> str:
        return self.root.findtext(name) or ""

    @property
    def code(self) -> tuple[int, str]:
        assert self.root.tag == "Error"
        assert self["Message"]
        assert self["RequestId"]
        return self.status, self["Code"]


def list_of(named: dict[int, str], quote: str = "") -> bytes:
    """As Uppy writes it: ETags of a part's answer bare, those of a list in quotes."""
    parts = (
        f"<Part><PartNumber>{number}</PartNumber><ETag>{quote}{etag}{quote}</ETag></Part>"
        for number, etag in named.items()
    )
    return f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()


class SigningPage:
    """One announced upload by `signRequest`."""

    def __init__(self, client: httpx.AsyncClient, token: str, s3: S3Api) -> None:
        self.client, self.s3 = client, s3
        self.upload: dict[str, Any] = {}
        self.multipart_id = ""
        self._token = {"Authorization": f"Bearer {token}"}

    @property
    def key(self) -> str:
        return str(self.upload["key"])

    async def announce(self, size: int = sum(SIZES), **more: Any) -> None:
        body = {"filename": "a b.mp4", "size": size, "content_type": "video/mp4"}
        body |= {"transport": "presigned", **more}
        answer = await self.client.post(UPLOADS, json=body, headers=self._token)
        assert answer.status_code == 201, answer.text
        self.upload = answer.json()

    async def ask(self, method: str, **more: Any) -> httpx.Response:
        body = {"method": method, "key": self.key, **more}
        return await self.client.post(PRESIGN, json=body, headers=self._token)

    async def sign(self, method: str, **more: Any) -> Any:
        answer = await self.ask(method, **more)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()

    async def refused(self, method: str, *kinds: Any, **more: Any) -> Any:
        return assert_problem(await self.ask(method, **more), *kinds)

    async def call(self, method: str, url: str, content: Any = None) -> httpx.Response:
        """An address of the service's, without any token, as the browser does."""
        return await self.client.request(method, urlsplit(url).path, content=content)

    async def begin(self) -> None:
        url = (await self.sign("POST"))["url"]
        self.multipart_id = Xml(await self.call("POST", url))["UploadId"]

    async def ticket(self, method: str) -> str:
        return str((await self.sign(method, uploadId=self.multipart_id))["url"])

    async def shown(self) -> Any:
        address = f"{UPLOADS}/{self.upload['id']}"
        return (await self.client.get(address, headers=self._token)).json()


@pytest.fixture
async def signing(house: House, caller: httpx.AsyncClient) -> AsyncIterator[SigningPage]:
    """With a file of three parts announced."""
    s3 = S3Api()
    house.stub.answer = s3
    async with house.client() as client:
        opened = SigningPage(client, house.token, s3)
        await opened.announce()
        yield opened


@pytest.fixture
async def signing_begun(signing: SigningPage) -> SigningPage:
    await signing.begin()
    return signing
