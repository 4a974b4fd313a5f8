"""Lists of parts over a real wire: what is asked again, for how long, and who waits meanwhile."""

import asyncio
import contextlib
import gzip
import logging
import time
import traceback
import zlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from aws import part_lister
from aws.clients import AwsClients
from aws.part_lister import PartLister
from aws.part_lists import NewestParts
from aws.signer.presigner import Presigner
from errors import StoreRefusedError, StoreUnavailableError, UploadgateError
from service.uploads.plan import MOST_PARTS
from tests.fakes.http_stub import HttpStub, Reply, Request
from tests.unit.aws.conftest import CALL_SECONDS, MAX_ATTEMPTS
from tests.unit.aws.test_multiparts import error, page, part

PLACE = ("uploads", "us-east-1:0000/upl_1/a b+ü.txt", "the/multi=part")
SECRET = "X-Amz-Signature"


def opened(
    clients: AwsClients, url: str, **options: Any
) -> contextlib.AbstractAsyncContextManager[PartLister]:
    signer = Presigner(credentials=clients.credentials, region="us-east-1", endpoint=url)
    usual = {
        "connections": 4,
        "connect_seconds": 60,
        "read_seconds": 60,
        "attempts": MAX_ATTEMPTS,
        "call_seconds": CALL_SECONDS,
    }
    return PartLister.opened(signer, **(usual | options))


async def test_the_list_is_asked_for_at_the_records_bucket(
    lister: PartLister, stub: HttpStub
) -> None:
    stub.answer = page(part(1))
    for bucket in ("uploads", "bucket-of-old"):
        await lister.parts(bucket, *PLACE[1:])
    (first, second) = stub.requests
    path = "/us-east-1%3A0000/upl_1/a%20b%2B%C3%BC.txt"
    assert [urlsplit(one.target).path for one in (first, second)] == [
        f"/uploads{path}",
        f"/bucket-of-old{path}",
    ]
    assert parse_qs(urlsplit(first.target).query)["uploadId"] == ["the/multi=part"]
    assert (first.method, first.headers["accept-encoding"]) == ("GET", "identity")


async def test_a_page_that_breaks_off_is_asked_for_again_from_its_beginning(
    lister: PartLister, stub: HttpStub
) -> None:
    whole = page(part(2), part(3))
    stub.script = [
        page(part(1), go_on="<NextPartNumberMarker>1</NextPartNumberMarker>"),
        Reply(200, whole.body[:-30], whole.headers, promised=len(whole.body)),
        whole,
    ]
    found = await lister.parts(*PLACE)
    assert found is not None
    assert [one.number for one in found] == [1, 2, 3]
    asked = [parse_qs(urlsplit(one.target).query) for one in stub.requests]
    assert [query.get("part-number-marker") for query in asked] == [None, ["1"], ["1"]]


@pytest.mark.parametrize(
    "reply",
    [
        error("InternalError", 500),
        error("SlowDown", 503),
        error("RequestTimeout", 400),
        Reply(502, b"<html>"),
        Reply(429),
    ],
)
async def test_what_may_pass_is_asked_again(
    lister: PartLister, stub: HttpStub, reply: Reply
) -> None:
    stub.script = [reply, page(part(1))]
    found = await lister.parts(*PLACE)
    assert found is not None
    assert len(found) == 1


@pytest.mark.parametrize(
    "reply",
    [error("AccessDenied", 403), error("NoSuchBucket", 404), Reply(404), Reply(307)],
)
async def test_what_will_not_pass_is_asked_once(
    lister: PartLister, stub: HttpStub, reply: Reply
) -> None:
    stub.answer = reply
    with pytest.raises(StoreRefusedError):
        await lister.parts(*PLACE)
    assert len(stub.requests) == 1


@pytest.mark.parametrize("waiting", ["read_seconds", "call_seconds"])
async def test_a_store_that_does_not_answer_is_not_waited_for(
    stub: HttpStub, clients: AwsClients, waiting: str
) -> None:
    stub.answer = Reply(hang=True)
    began = time.monotonic()
    async with opened(clients, stub.url, **{waiting: 0.1}) as lister:
        with pytest.raises(StoreUnavailableError):
            await lister.parts(*PLACE)
    assert time.monotonic() - began < 40
    assert len(stub.requests) == (MAX_ATTEMPTS if waiting == "read_seconds" else 1)


async def test_more_lists_than_connections_take_turns(stub: HttpStub, clients: AwsClients) -> None:
    stub.answer = page(part(1))
    async with opened(clients, stub.url, connections=1) as lister:
        found = await asyncio.gather(*(lister.parts(*PLACE) for _ in range(5)))
    assert [len(parts or ()) for parts in found] == [1] * 5


# --- others have their turn ----------------------------------------------------------------------


async def test_a_list_of_all_parts_is_read_in_many_turns_of_the_loop(
    lister: PartLister, stub: HttpStub
) -> None:
    stub.answer = page(*(part(number) for number in range(1, MOST_PARTS + 1)))
    longest = parts = 0
    add = NewestParts.add

    def counted(found: Any, fields: Any) -> None:
        nonlocal parts
        parts += 1
        add(found, fields)

    async def watch() -> None:
        nonlocal longest, parts
        while True:
            longest, parts = max(longest, parts), 0
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NewestParts, "add", counted)
        found = await lister.parts(*PLACE)
    watching.cancel()
    assert found is not None
    assert len(found) == MOST_PARTS
    assert 0 < longest < 500  # parts in one go: some 5 ms of a slow processor


# --- hostile answers -----------------------------------------------------------------------------


async def test_a_page_may_be_only_so_long(
    lister: PartLister, stub: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.answer = page(*(part(1) for _ in range(1000)))
    assert await lister.parts(*PLACE) is not None
    monkeypatch.setattr(part_lister, "LONGEST_PAGE", len(stub.answer.body) - 1)
    with pytest.raises(StoreUnavailableError):
        await lister.parts(*PLACE)


def test_a_page_of_all_parts_is_not_too_long() -> None:
    more = "<ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME>"
    every = page(*(part(n, "&quot;" + "f" * 32, 2**40, more=more) for n in range(1, 10_001)))
    assert 2 * len(every.body) < part_lister.LONGEST_PAGE


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_what_is_packed_is_not_unpacked(
    lister: PartLister, stub: HttpStub, encoding: str
) -> None:
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    stub.answer = Reply(200, pack(page(part(1)).body), {"Content-Encoding": encoding})
    with pytest.raises(StoreUnavailableError):
        await lister.parts(*PLACE)


async def test_an_error_of_any_length_is_read_at_its_beginning_only(
    lister: PartLister, stub: HttpStub
) -> None:
    late = error("NoSuchUpload", 404).body
    stub.answer = Reply(404, b" " * 70_000 + late + b" " * 5_000_000)
    with pytest.raises(StoreRefusedError):
        await lister.parts(*PLACE)


@pytest.mark.parametrize("marker", ["2", "-1", "0", "1.5", "x", "9" * 5000])
async def test_a_list_that_goes_back_is_no_list(
    lister: PartLister, stub: HttpStub, marker: str
) -> None:
    def answer(_: Request) -> Reply:
        here = "3" if len(stub.requests) == 1 else marker
        return page(go_on=f"<NextPartNumberMarker>{here}</NextPartNumberMarker>")

    stub.answer = answer
    with pytest.raises(StoreUnavailableError):
        await lister.parts(*PLACE)
    assert len(stub.requests) == 2


# --- secrets -------------------------------------------------------------------------------------


async def test_the_address_reaches_no_log_and_no_traceback(
    stub: HttpStub, clients: AwsClients, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    async def fails(url: str) -> None:
        async with opened(clients, url, read_seconds=0.1) as lister:
            try:
                await lister.parts(*PLACE)
            except UploadgateError as failure:
                told.append("".join(traceback.format_exception(failure)))
                told.append(repr(failure.__context__) + repr(failure.__cause__))

    with capture_logs() as logs:
        await fails("http://127.0.0.1:1")
        for reply in (
            error("AccessDenied", 403),
            Reply(500),
            Reply(307, headers={"Location": "http://127.0.0.1:1/elsewhere"}),
            Reply(200, b"<html>"),
            Reply(200, b"<List", promised=100),
            Reply(hang=True),
        ):
            stub.answer = reply
            await fails(stub.url)
    assert len(told) == 14
    assert SECRET not in "".join(told) + caplog.text + repr(logs)
