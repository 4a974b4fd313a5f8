"""What is signed most goes through doors of its own: the answer is the long way's, byte for byte.

An unknown parameter in the query is what sends a call the long way.
"""

import json
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httpx
import pytest

from routers.part_schemas import SignedParts
from routers.transfers import PartsDoor
from tests.fakes.house import House
from tests.fakes.s3_api import S3Api
from tests.unit.routers.test_bad_tokens import HOUR, token

MIB = 1024 * 1024
JSON = "application/json"
Body = dict[str, Any] | bytes
# Of every answer, and different in each.
OF_ITS_OWN = {"x-request-id"}


class Told(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Pair:
    """An upload in parts, its key and multipart, and both ways to ask for it."""

    def __init__(self, caller: httpx.AsyncClient, made: dict[str, Any]) -> None:
        self.caller = caller
        self.id = made["id"]
        self.parts = f"/v1/uploads/{made['id']}/parts"
        self.part = {
            "method": "PUT",
            "key": made["key"],
            "uploadId": made["multipart"]["upload_id"],
            "partNumber": 1,
        }

    async def told(self, path: str, body: Body, **headers: str) -> Told:
        """The short way's answer, which is the long way's."""
        while True:
            first = await self._one(f"{path}?the=long", body, headers)
            short = await self._one(path, body, headers)
            last = await self._one(f"{path}?the=long", body, headers)
            if first == last:  # else the second in which they were signed has passed
                assert short == first
                return short

    async def _one(self, path: str, body: Body, headers: dict[str, str]) -> Told:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self.caller.post(
            path, content=content, headers={"content-type": JSON, **headers}
        )
        shown = answer.content
        if answer.status_code != httpx.codes.OK:
            problem = answer.json()
            del problem["request_id"]
            shown = json.dumps(problem).encode()
        theirs = {
            name: text
            for name, text in answer.headers.items()
            if name not in OF_ITS_OWN | {"content-length"}
        }
        return Told(answer.status_code, theirs, shown)


async def announced(caller: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    wanted = {"filename": "a b%é.mp4", "size": 16 * MIB + 5, "transport": "presigned", **more}
    made: dict[str, Any] = (await caller.post("/v1/uploads", json=wanted)).json()
    return made


@pytest.fixture
async def pair(house: House, caller: httpx.AsyncClient) -> Pair:
    house.stub.answer = S3Api()
    return Pair(caller, await announced(caller))


@pytest.mark.parametrize("numbers", [[1], [3, 1, 2]])
async def test_parts_are_signed_alike(pair: Pair, numbers: list[int]) -> None:
    told = await pair.told(pair.parts, {"part_numbers": numbers})
    assert told.status == httpx.codes.OK
    found = SignedParts.model_validate_json(told.body).parts
    assert [part.part_number for part in found] == numbers
    assert (told.headers["content-type"], told.headers["cache-control"]) == (JSON, "no-store")


async def test_a_part_with_its_checksum_is_signed_alike(
    house: House, caller: httpx.AsyncClient
) -> None:
    house.stub.answer = S3Api()
    checksum = {"algorithm": "CRC32", "value": "DUoRhQ=="}
    pair = Pair(caller, await announced(caller, checksum=checksum))
    body = {"part_numbers": [1, 2], "checksums": {"2": "DUoRhQ=="}}
    told = await pair.told(pair.parts, body)
    headers = [part["headers"] for part in json.loads(told.body)["parts"]]
    assert headers[1]["x-amz-checksum-crc32"] == "DUoRhQ=="
    assert "x-amz-checksum-crc32" not in headers[0]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"contentType": "video/mp4", "newer": [1]},
        {"method": "GET", "partNumber": None},
        {"uploadId": None, "partNumber": None},
    ],
)
async def test_one_request_is_signed_alike(pair: Pair, more: dict[str, Any]) -> None:
    told = await pair.told("/v1/s3/presign", {**pair.part, **more})
    assert told.status == httpx.codes.OK


BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff",
    b'{"part_numbers": [1]} x',
    b'{"part_numbers": [NaN]}',
    b'{"part_numbers": [1e0]}',
    b'{"part_numbers": ["1"]}',
    {"part_numbers": []},
    {"part_numbers": [0]},
    {"part_numbers": [4]},
    {"part_numbers": [1, 1]},
    {"part_numbers": [10_001]},
    {"part_numbers": list(range(1, 1002))},
    {"part_numbers": [True]},
    {"part_numbers": [1], "more": 1},
    {"part_numbers": [1], "checksums": {"2": "DUoRhQ=="}},
    {"part_numbers": [1], "checksums": {"1": "DUoRhQ=="}},
]


@pytest.mark.parametrize("body", BAD_BODIES)
async def test_a_bad_body_is_refused_alike(pair: Pair, body: Body) -> None:
    assert (await pair.told(pair.parts, body)).status >= httpx.codes.BAD_REQUEST


@pytest.mark.parametrize(
    "body",
    [
        '{"part_numbers": [1]}'.encode("utf-16"),
        b'\xef\xbb\xbf{"part_numbers": [1]}',
        b' {"part_numbers": [1], "part_numbers": [2]} ',
        b'{"part_numbers": [1], "checksums": {}}',
    ],
)
async def test_an_unusual_body_is_read_alike(pair: Pair, body: bytes) -> None:
    assert (await pair.told(pair.parts, body)).status == httpx.codes.OK


@pytest.mark.parametrize(
    "more",
    [
        {"method": "HEAD"},
        {"method": "GET"},
        {"method": "DELETE", "uploadId": None, "partNumber": None},
        {"partNumber": None},
        {"partNumber": 4},
        {"uploadId": "another"},
        {"key": "another"},
        {"key": "\0"},
        {"key": "\ud800"},
        {"key": ""},
    ],
)
async def test_a_bad_request_to_sign_is_refused_alike(pair: Pair, more: dict[str, Any]) -> None:
    told = await pair.told("/v1/s3/presign", {**pair.part, **more})
    assert told.status >= httpx.codes.BAD_REQUEST


BAD_HEADERS: list[Callable[[], dict[str, str]]] = [
    lambda: {"authorization": ""},
    lambda: {"authorization": "Basic YTpi"},
    lambda: {"authorization": "Bearer nonsense"},
    lambda: {"authorization": f"Bearer {token(later=-HOUR)}"},
    lambda: {"authorization": f"Bearer {token(scope='admin')}"},
    lambda: {"authorization": f"Bearer {token(user_id='usr_eve')}"},
    lambda: {"content-type": "text/plain"},
    lambda: {"content-type": ""},
]


@pytest.mark.parametrize("headers", BAD_HEADERS)
async def test_who_may_not_is_refused_alike(
    pair: Pair, headers: Callable[[], dict[str, str]]
) -> None:
    given = headers()
    for path, body in ((pair.parts, {"part_numbers": [1]}), ("/v1/s3/presign", pair.part)):
        assert (await pair.told(path, body, **given)).status >= httpx.codes.BAD_REQUEST


@pytest.mark.parametrize("upload_id", ["upl_0", "é", "%00", "%ED%A0%80", "x" * 65])
async def test_an_upload_that_there_is_not_is_refused_alike(pair: Pair, upload_id: str) -> None:
    told = await pair.told(f"/v1/uploads/{upload_id}/parts", {"part_numbers": [1]})
    assert told.status >= httpx.codes.BAD_REQUEST


async def ended(pair: Pair, _: House) -> None:
    await pair.caller.delete(f"/v1/uploads/{pair.id}")


async def expired(pair: Pair, house: House) -> None:
    connection = sqlite3.connect(house._path)
    with connection:
        changed = "UPDATE uploads SET expires_at = '2020-01-01 00:00:00.000000' WHERE id = ?"
        connection.execute(changed, [pair.id])
    connection.close()


@pytest.mark.parametrize("end", [ended, expired])
async def test_the_record_is_looked_at_every_time(
    house: House, pair: Pair, end: Callable[[Pair, House], Awaitable[None]]
) -> None:
    assert (await pair.told(pair.parts, {"part_numbers": [1]})).status == httpx.codes.OK
    await end(pair, house)
    for path, body in ((pair.parts, {"part_numbers": [1]}), ("/v1/s3/presign", pair.part)):
        told = await pair.told(path, body)
        assert (told.status, json.loads(told.body)["code"]) == (409, "upload_ended")


async def test_the_short_way_is_taken(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else nothing is compared here."""
    taken = []
    answer = PartsDoor.answer

    async def noted(door: PartsDoor, *call: Any) -> Any:
        found = await answer(door, *call)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(PartsDoor, "answer", noted)
    await pair._one(pair.parts, {"part_numbers": [1]}, {})
    await pair._one(f"{pair.parts}?the=long", {"part_numbers": [1]}, {})
    assert taken == [True, False]
