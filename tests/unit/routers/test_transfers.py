"""The ways of a file's bytes as `create_app` wires them, the store a stub that speaks S3."""

from collections.abc import AsyncIterator
from datetime import datetime
from io import StringIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

import errors
from auth.callers import ADMIN, Caller
from routers.transfers import VerdictRequest, give_verdict
from service.uploads.model import Upload, UploadStatus
from tests.fakes.asgi import LEAVE, Call, body
from tests.fakes.clock import START, Clock
from tests.fakes.house import House
from tests.fakes.http_stub import Reply
from tests.fakes.problems import assert_problem
from tests.fakes.records import upload
from tests.fakes.s3_api import S3Api
from tests.fakes.signer import ReadableSigner

MIB = 1024 * 1024
PART = 8 * MIB
SIZE = 2 * PART + 5
UPLOADS = "/v1/uploads"
LARGE: dict[str, Any] = {"filename": "é.mp4", "size": SIZE, "content_type": "video/mp4"}
SMALL: dict[str, Any] = {"filename": "a.txt", "size": 5, "content_type": "text/plain"}


@pytest.fixture
def s3(house: House, caller: httpx.AsyncClient) -> S3Api:
    house.stub.answer = s3 = S3Api()
    return s3


async def announced(caller: httpx.AsyncClient, what: dict[str, Any], **changes: Any) -> Any:
    answer = await caller.post(UPLOADS, json={**what, **changes})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def posted(caller: httpx.AsyncClient, made: Any, path: str, sent: Any = None) -> Any:
    answer = await caller.post(f"{UPLOADS}/{made['id']}{path}", json=sent)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def test_a_large_file_goes_in_parts_that_are_signed_listed_and_completed(
    caller: httpx.AsyncClient, s3: S3Api
) -> None:
    made = await announced(caller, LARGE, transport="presigned")
    multipart = made["multipart"]
    assert (multipart["part_size"], multipart["part_count"]) == (PART, 3)
    assert (made["put"], made["post"], multipart["checksum_algorithm"]) == (None, None, None)
    assert s3.multiparts[multipart["upload_id"]].upload_id == made["id"]

    signed = (await posted(caller, made, "/parts", {"part_numbers": [3, 1]}))["parts"]
    assert [part["part_number"] for part in signed] == [3, 1]
    for part in signed:
        address = urlsplit(part["url"])
        query = parse_qs(address.query)
        assert unquote(address.path) == f"/uploads/{made['key']}"
        assert query["uploadId"] == [multipart["upload_id"]]
        assert query["partNumber"] == [str(part["part_number"])]
        assert "content-length" in query["X-Amz-SignedHeaders"][0].split(";")
        assert datetime.fromisoformat(part["expires_at"]).tzinfo is not None

    named = s3.put(multipart["upload_id"], PART, PART)
    listed = (await caller.get(f"{UPLOADS}/{made['id']}/parts")).json()
    assert listed["items"] == [
        {"part_number": number, "size": PART, "etag": named[number]} for number in (1, 2)
    ]
    found = assert_problem(
        await caller.post(f"{UPLOADS}/{made['id']}/complete"), errors.UploadIncompleteError
    )
    assert found["missing_parts"] == [3]

    s3.put(multipart["upload_id"], PART, PART, 5)
    for _ in range(2):
        completed = await posted(caller, made, "/complete")
        assert (completed["status"], completed["size"]) == ("completed", SIZE)
        assert completed["multipart"] is None


async def test_a_small_file_goes_in_one_request_and_comes_back_as_an_attachment(
    caller: httpx.AsyncClient, s3: S3Api
) -> None:
    made = await announced(caller, SMALL, transport="presigned", filename="é.txt")
    assert (made["transport"], made["transport_reason"]) == ("presigned", "requested")
    assert unquote(urlsplit(made["put"]["url"]).path) == f"/uploads/{made['key']}"
    headers = {name.lower(): text for name, text in made["put"]["headers"].items()}
    assert (headers["if-none-match"], headers["content-type"]) == ("*", "text/plain")
    assert made["post"]["fields"]["key"] == made["key"]
    s3.store(made["key"], 5, made["id"])
    completed = await posted(caller, made, "/complete")
    assert (completed["status"], completed["put"], completed["post"]) == ("completed", None, None)
    answer = await caller.get(f"{UPLOADS}/{made['id']}/download")
    assert answer.headers["cache-control"] == "no-store"
    query = parse_qs(urlsplit(answer.json()["url"]).query)
    (disposition,) = query["response-content-disposition"]
    assert disposition == "attachment; filename=\"e.txt\"; filename*=UTF-8''%C3%A9.txt"
    assert query["response-content-type"] == ["text/plain"]


async def test_addresses_in_a_list_are_there_too_and_none_of_them_is_logged(
    caller: httpx.AsyncClient, s3: S3Api, written: StringIO
) -> None:
    made = await announced(caller, SMALL, transport="presigned", fingerprint="reload")
    page = (await caller.get(UPLOADS, params={"fingerprint": "reload"})).json()
    assert [item["id"] for item in page["items"]] == [made["id"]]
    assert page["items"][0]["put"] is not None
    assert "X-Amz-Signature" in made["put"]["url"]
    assert "X-Amz-" not in written.getvalue()


@pytest.mark.parametrize("to", ["presigned", "relay"])
async def test_a_switch_keeps_the_multipart_and_its_parts(
    caller: httpx.AsyncClient, s3: S3Api, to: str
) -> None:
    made = await announced(caller, LARGE)
    assert (made["transport"], made["transport_reason"]) == ("credentials", "auto")
    s3.put(made["multipart"]["upload_id"], PART)
    switched = await posted(caller, made, "/transport", {"transport": to})
    assert (switched["transport"], switched["transport_reason"]) == (to, "switched")
    assert switched["multipart"] == made["multipart"]
    assert len((await caller.get(f"{UPLOADS}/{made['id']}/parts")).json()["items"]) == 1
    back = await posted(caller, made, "/transport", {"transport": "credentials"})
    assert (back["transport"], back["status"]) == ("credentials", "uploading")


async def test_a_file_is_relayed_to_the_store_part_by_part(
    house: House, caller: httpx.AsyncClient, s3: S3Api
) -> None:
    made = await announced(caller, LARGE, transport="relay")
    file = bytes(range(256)) * (SIZE // 256 + 1)
    address = f"{UPLOADS}/{made['id']}/content"
    answer = await caller.put(
        address,
        content=file[:PART],
        headers={"Content-Range": f"bytes 0-{PART - 1}/{SIZE}"},
    )
    assert (answer.status_code, answer.json()["status"]) == (200, "uploading")
    answer = await caller.put(
        address,
        content=chunks(file[PART:SIZE]),
        headers={"Content-Range": f"bytes {PART}-{SIZE - 1}/{SIZE}"},
    )
    assert (answer.status_code, answer.json()["status"]) == (200, "completed"), answer.text
    relayed = [each.body for each in house.stub.requests if each.method == "PUT"]
    assert b"".join(relayed) == file[:SIZE]


async def test_a_small_file_is_relayed_in_one_put(caller: httpx.AsyncClient, s3: S3Api) -> None:
    made = await announced(caller, SMALL, transport="relay")
    assert (made["put"], made["post"]) == (None, None)
    answer = await caller.put(f"{UPLOADS}/{made['id']}/content", content=b"hello")
    assert (answer.status_code, answer.json()["status"]) == (200, "completed"), answer.text
    assert s3.objects[made["key"]].size == 5


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


async def test_one_key_makes_one_upload_and_completes_it_once(
    caller: httpx.AsyncClient, s3: S3Api
) -> None:
    keyed = {"Idempotency-Key": "one-intention"}
    ids = set()
    for _ in range(3):
        answer = await caller.post(UPLOADS, json=LARGE, headers=keyed)
        assert answer.status_code == 201
        ids.add(answer.json()["id"])
    assert (len(ids), s3.made) == (1, 1)
    other = await caller.post(UPLOADS, json={**LARGE, "size": 5}, headers=keyed)
    assert_problem(other, errors.IdempotencyKeyReusedError)
    address = f"{UPLOADS}/{ids.pop()}/complete"
    # A key is for one request: not for the completion of what it created.
    assert_problem(await caller.post(address, headers=keyed), errors.IdempotencyKeyReusedError)
    (multipart_id,) = s3.multiparts
    s3.put(multipart_id, PART, PART, 5)
    for _ in range(2):
        answer = await caller.post(address, headers={"Idempotency-Key": "another"})
        assert answer.json()["status"] == "completed"


async def test_a_multipart_that_the_store_dropped_is_told_and_made_anew(
    caller: httpx.AsyncClient, s3: S3Api
) -> None:
    made = await announced(caller, LARGE, transport="presigned")
    s3.multiparts.clear()
    answer = await caller.post(f"{UPLOADS}/{made['id']}/complete")
    assert_problem(answer, errors.MultipartGoneError)
    await posted(caller, made, "/parts", {"part_numbers": [1]})
    assert len(s3.multiparts) == 1
    assert set(s3.multiparts) != {made["multipart"]["upload_id"]}


async def test_an_aborted_upload_leaves_no_multipart(caller: httpx.AsyncClient, s3: S3Api) -> None:
    made = await announced(caller, LARGE, transport="presigned")
    answer = await caller.delete(f"{UPLOADS}/{made['id']}")
    assert (answer.json()["status"], s3.multiparts) == ("aborted", {})
    answer = await caller.post(f"{UPLOADS}/{made['id']}/parts", json={"part_numbers": [1]})
    assert_problem(answer, errors.UploadEndedError)


SICK = pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(503), errors.StoreUnavailableError),
        (Reply(hang=True), errors.StoreUnavailableError),
        (
            Reply(403, b"<Error><Code>AccessDenied</Code></Error>"),
            errors.StoreRefusedError,
        ),
    ],
)


@SICK
async def test_a_store_that_is_not_well_leaves_nothing_of_a_new_upload(
    caller: httpx.AsyncClient, s3: S3Api, reply: Reply, kind: type[errors.UploadgateError]
) -> None:
    s3.failure = reply
    answer = await caller.post(UPLOADS, json={**LARGE, "fingerprint": f"sick {reply}"})
    assert_problem(answer, kind)
    page = (await caller.get(UPLOADS, params={"fingerprint": f"sick {reply}"})).json()
    assert [item["status"] for item in page["items"]] == ["aborted"]


@SICK
async def test_a_store_that_is_not_well_leaves_an_upload_in_flight_as_it_is(
    caller: httpx.AsyncClient, s3: S3Api, reply: Reply, kind: type[errors.UploadgateError]
) -> None:
    made = await announced(caller, LARGE, transport="presigned")
    address = f"{UPLOADS}/{made['id']}"
    s3.put(made["multipart"]["upload_id"], PART, PART, 5)
    s3.failure = reply
    for call in (
        caller.get(f"{address}/parts"),
        caller.post(f"{address}/complete"),
        caller.put(
            f"{address}/content",
            content=b"hello",
            headers={"Content-Range": f"bytes {2 * PART}-{SIZE - 1}/{SIZE}"},
        ),
    ):
        assert_problem(await call, kind)
    s3.failure = None
    assert (await posted(caller, made, "/complete"))["status"] == "completed"


async def test_a_client_that_breaks_off_a_relay_can_go_on(
    house: House, caller: httpx.AsyncClient, s3: S3Api, written: StringIO
) -> None:
    made = await announced(caller, LARGE, transport="relay")
    address = f"{UPLOADS}/{made['id']}/content"
    headers = {"Authorization": f"Bearer {house.token}"}
    pieces = [body(b"x" * PART, more=True), body(b"x", more=True), LEAVE]
    await Call(address, pieces, headers, method="PUT").to(house.answer)
    assert list(s3.multiparts[made["multipart"]["upload_id"]].parts) == [1]
    # That is no fault of ours, to be told at length.
    assert "Traceback" not in written.getvalue()
    headers = {"Content-Range": f"bytes {PART}-{SIZE - 1}/{SIZE}"}
    answer = await caller.put(address, content=b"x" * (SIZE - PART), headers=headers)
    assert answer.json()["status"] == "completed"


@pytest.mark.parametrize("trouble", [errors.StoreRefusedError, errors.StoreUnavailableError])
async def test_a_record_is_shown_while_nothing_can_be_signed(
    house: House,
    caller: httpx.AsyncClient,
    s3: S3Api,
    monkeypatch: pytest.MonkeyPatch,
    trouble: type[errors.UploadgateError],
) -> None:
    """A creation that answered 502 would have left a record that nobody has heard of."""
    signer = ReadableSigner(Clock())
    monkeypatch.setattr(house.services.transfers, "_signer", signer)
    fingerprint = f"unsigned {trouble.code}"
    signer.failures = [trouble() for _ in range(3)]
    made = await announced(caller, SMALL, transport="presigned", fingerprint=fingerprint)
    page = (await caller.get(UPLOADS, params={"fingerprint": fingerprint})).json()["items"]
    shown = (await caller.get(f"{UPLOADS}/{made['id']}")).json()
    for found in (made, *page, shown):
        assert (found["id"], found["status"]) == (made["id"], "pending")
        assert (found["put"], found["post"]) == (None, None)
    # Once the signer is back, there is what to send to.
    assert (await caller.get(f"{UPLOADS}/{made['id']}")).json()["put"] is not None


async def test_of_a_thousand_faults_a_few_are_told(caller: httpx.AsyncClient, s3: S3Api) -> None:
    made = await announced(caller, LARGE, transport="presigned")
    answer = await caller.post(f"{UPLOADS}/{made['id']}/parts", json={"part_numbers": ["x"] * 1000})
    found = assert_problem(answer, errors.InvalidRequestError)
    assert len(found["errors"]) == 20


async def test_what_was_written_again_is_not_given_back_unseen(
    caller: httpx.AsyncClient, s3: S3Api
) -> None:
    made = await announced(caller, SMALL, transport="presigned")
    s3.store(made["key"], 5, made["id"])
    await posted(caller, made, "/complete")
    s3.objects[made["key"]].etag = "etag-of-another"
    answer = await caller.get(f"{UPLOADS}/{made['id']}/download")
    assert_problem(answer, errors.UploadStateError)


async def test_an_aborted_relay_is_told_as_ended(
    house: House, caller: httpx.AsyncClient, s3: S3Api
) -> None:
    made = await announced(caller, LARGE, transport="relay")

    async def aborted() -> AsyncIterator[bytes]:
        yield b"x" * PART
        assert (await caller.delete(f"{UPLOADS}/{made['id']}")).status_code == 200
        yield b"x" * (SIZE - PART)

    answer = await caller.put(f"{UPLOADS}/{made['id']}/content", content=aborted())
    assert_problem(answer, errors.UploadEndedError)


async def test_one_user_takes_no_more_relays_than_their_share(
    house: House, caller: httpx.AsyncClient, s3: S3Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.services.relay, "_most", 1)
    first, second = [await announced(caller, SMALL, transport="relay") for _ in range(2)]
    refused: list[httpx.Response] = []

    async def another_meanwhile() -> AsyncIterator[bytes]:
        refused.append(await caller.put(f"{UPLOADS}/{second['id']}/content", content=b"hello"))
        yield b"hello"

    answer = await caller.put(f"{UPLOADS}/{first['id']}/content", content=another_meanwhile())
    assert answer.json()["status"] == "completed", answer.text
    assert_problem(refused[0], errors.TooManyUploadsError)
    assert int(refused[0].headers["retry-after"]) > 0
    answer = await caller.put(f"{UPLOADS}/{second['id']}/content", content=b"hello")
    assert answer.json()["status"] == "completed", answer.text


async def test_the_log_says_who_has_given_a_verdict() -> None:
    async def give(*_: Any) -> Upload:
        return upload(status=UploadStatus.COMPLETED)

    services: Any = SimpleNamespace(verdicts=SimpleNamespace(give=give))
    caller = Caller("usr_root", "root", frozenset({ADMIN}), START)
    with capture_logs() as lines:
        await give_verdict("upl_1", VerdictRequest(verdict="clean"), caller, services)
    (line,) = lines
    assert (line["event"], line["upload_id"]) == ("verdict.given", "upl_1")
    assert (line["verdict"], line["by"]) == ("clean", "usr_root")
