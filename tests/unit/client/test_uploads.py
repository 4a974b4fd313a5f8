import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from client import boto
from client.api import Api
from client.grants import CredentialSource, Issued
from client.parts import SMALLEST_PART
from client.problems import (
    ApiError,
    CredentialsError,
    FileError,
    TransferCancelledError,
    TransferError,
)
from client.uploads import Uploader
from client.wire import Exchanged, Place
from tests.unit.client.fakes import FakeStore, HttpFor, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = 3


class FakeApi:
    """The service's side of one upload: what was created, asked for and deleted."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self.status = "pending"
        self.announced: list[Any] = []
        self.deleted: list[str] = []
        self.refuse_deletion = False
        self.before_answering_creation: Callable[[], object] = lambda: None

    def __call__(self, request: httpx.Request) -> Any:
        if request.method == "POST":
            self.announced.append(httpx.Response(200, content=request.content).json())
            self.before_answering_creation()
        if request.method == "DELETE":
            if self.refuse_deletion:
                return httpx.Response(409, json={"code": "upload_state", "title": "too late"})
            self.deleted.append(request.url.path)
            return httpx.Response(200, json=self.record)
        return httpx.Response(200, json={**self.record, "status": self.status})


@pytest.fixture
def service(record: dict[str, Any]) -> Any:
    return FakeApi(record)


@pytest.fixture
def uploader(
    http_for: HttpFor, tokens: Tokens, service: FakeApi, store: FakeStore, exchanged: dict[str, Any]
) -> Any:
    api = Api(http_for(service), tokens)
    answer = Exchanged.read({**exchanged, "endpoint": store.url, "expires_at": "2100-01-01T00:00Z"})
    first = Issued(answer.keys, answer.place, timedelta(0))
    return Uploader.opened(api, CredentialSource(api, "exchange"), first=first, parallel_parts=2)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * (SMALLEST_PART * (PARTS - 1) + 1))
    return path


def test_a_file_goes_in_parallel_parts_and_every_byte_is_told(
    uploader: Uploader, store: FakeStore, service: FakeApi, file: Path
) -> None:
    told: list[int] = []
    record = uploader.send(file, told.append)
    assert record.id == "upl_1"
    assert store.parts == {1: SMALLEST_PART, 2: SMALLEST_PART, 3: 1}
    assert sum(told) == file.stat().st_size
    assert service.deleted == []
    assert service.announced == [
        {
            "filename": "a.bin",
            "size": file.stat().st_size,
            "content_type": "application/octet-stream",
            "transport": "credentials",
        }
    ]
    assert all("AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE" in a for a in store.authorizations)


@pytest.mark.parametrize("size", [0, 1, SMALLEST_PART])
def test_what_fits_one_part_goes_in_one_request(
    uploader: Uploader, store: FakeStore, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"y" * size)
    uploader.send(path)
    assert store.parts == {0: size}
    assert (store.count("PUT"), store.count("POST")) == (1, 0)


def test_cancelling_aborts_the_multipart_and_deletes_the_record(
    uploader: Uploader, store: FakeStore, service: FakeApi, file: Path
) -> None:
    def on_part(_: object) -> Any:
        uploader.cancel()
        return 200

    store.on_part = on_part
    with pytest.raises(TransferCancelledError):
        uploader.send(file)
    assert store.count("DELETE", "uploadId=mp-1") == 1
    assert store.count("POST", "uploadId=mp-1") == 0
    assert service.deleted == ["/v1/uploads/upl_1"]


def test_after_cancelling_nothing_more_is_sent(
    uploader: Uploader, store: FakeStore, service: FakeApi, file: Path
) -> None:
    uploader.cancel()
    with pytest.raises(TransferCancelledError):
        uploader.send(file)
    assert store.parts == {}
    assert service.announced == []


def test_a_refusal_of_the_store_is_told_by_its_code_alone(
    uploader: Uploader, store: FakeStore, service: FakeApi, file: Path
) -> None:
    store.on_part = lambda number: 403 if number == 2 else 200
    with pytest.raises(TransferError, match=r"^UploadPart: AccessDenied$"):
        uploader.send(file)
    assert store.count("DELETE", "uploadId=mp-1") == 1
    assert service.deleted == ["/v1/uploads/upl_1"]


def test_a_record_that_could_not_be_deleted_is_told_of(
    uploader: Uploader, store: FakeStore, service: FakeApi, file: Path
) -> None:
    store.completion_status = 403
    service.refuse_deletion = True
    with pytest.raises(TransferError) as caught:
        uploader.send(file)
    assert caught.value.__notes__ == ["its record upl_1 could not be deleted: too late"]
    assert "secret-1" not in str(caught.value)


def test_what_has_arrived_has_arrived_although_the_answer_was_lost(
    uploader: Uploader, store: FakeStore, service: FakeApi, file: Path
) -> None:
    store.completion_status = 403
    service.status = "completed"
    assert uploader.send(file).status == "completed"
    assert service.deleted == []


def test_keys_that_do_not_reach_the_record_are_not_tried(
    uploader: Uploader, store: FakeStore, service: FakeApi, file: Path
) -> None:
    service.record = {**service.record, "key": "us-east-1:somebody-else/upl_1/a.bin"}
    with pytest.raises(CredentialsError):
        uploader.send(file)
    assert store.calls == []
    assert service.deleted == ["/v1/uploads/upl_1"]


def test_no_file_no_record(uploader: Uploader, service: FakeApi, tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(FileError):
            uploader.send(path)
    assert service.announced == []


def test_a_refused_announcement_is_the_services_own_problem(
    http_for: HttpFor, tokens: Tokens, store: FakeStore, file: Path
) -> None:
    refusal = {"code": "policy", "title": "no", "retry_mode": "switch_transport"}
    api = Api(http_for(lambda _: httpx.Response(403, json=refusal)), tokens)
    uploader = Uploader(api, None, Place("us-east-1", store.url, "uploads", "me/"))
    with pytest.raises(ApiError) as caught:
        uploader.send(file)
    assert caught.value.code == "policy"


def test_the_users_own_aws_configuration_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, exchanged: dict[str, Any]
) -> None:
    config = tmp_path / "config"
    config.write_text("[profile p]\nregion = eu-west-1\ns3 =\n  addressing_style = virtual\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "missing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere.test")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAAMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient")
    answer = Exchanged.read({**exchanged, "endpoint": None, "expires_at": "2100-01-01T00:00Z"})
    first = Issued(answer.keys, answer.place, timedelta(0))
    credentials = boto.refreshable(first, lambda: first)
    session = boto.boto3_session(credentials, first.place.region)
    client = boto.s3_client(session, first.place, connections=7)
    config = client.meta.config
    assert client.meta.endpoint_url == "https://s3.us-east-1.amazonaws.com"
    assert client.meta.region_name == "us-east-1"
    assert (config.signature_version, config.s3["addressing_style"]) == ("s3v4", "virtual")
    assert (config.connect_timeout, config.read_timeout) == (5, 60)
    assert config.max_pool_connections == 7
    assert config.request_checksum_calculation == "when_required"
    assert session.get_credentials().access_key == "ASIAEXAMPLE"


def test_several_files_at_once_are_all_ended_by_one_cancel(
    uploader: Uploader, store: FakeStore, service: FakeApi, file: Path
) -> None:
    both = threading.Barrier(2, action=uploader.cancel)
    service.before_answering_creation = lambda: both.wait(10)
    ended = []

    def send() -> None:
        with pytest.raises(TransferCancelledError) as caught:
            uploader.send(file)
        ended.append(caught.value)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(ended), len(service.deleted)) == (2, 2)
    assert store.count("POST", "uploadId=mp-1") == 0
