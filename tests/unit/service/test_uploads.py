"""Announcing, showing and listing uploads."""

from datetime import timedelta

import pytest

from errors import (
    PolicyError,
    TransportUnavailableError,
    UnknownProfileError,
    UploadNotFoundError,
    UploadTooLargeError,
)
from service.uploads.model import Checksum, Origin, Transport, UploadStatus
from service.uploads.policy import IssueCredentials, Policy, Profile
from service.uploads.uploads import NewUpload, Timing, TransportChoice, Uploads
from tests.fakes.clock import START, Clock
from tests.fakes.owners import OneOwner
from tests.fakes.records import BUCKET, IDENTITY, MemoryRecords, upload
from tests.fakes.store import MemoryStore

ADA, EVE = "usr_ada", "usr_eve"
NEW = NewUpload(filename="né.txt", size=5, content_type="text/plain")


def uploads(
    records: MemoryRecords,
    *,
    issue: IssueCredentials = "when_unlimited",
    max_size: int | None = None,
    folders: OneOwner | None = None,
) -> Uploads:
    return Uploads(
        records=records,
        store=MemoryStore(),
        folders=folders or OneOwner(),
        policy=Policy([Profile(max_size=max_size)], issue),
        bucket=BUCKET,
        timing=Timing(timedelta(days=7), timedelta(seconds=30)),
        clock=Clock(),
    )


async def test_an_announced_upload_is_recorded_before_anything_else() -> None:
    records = MemoryRecords()
    new = NewUpload(
        filename="né.txt",
        size=5,
        content_type="text/plain",
        checksum=Checksum("CRC32", "AAAAAA=="),
        metadata={"a": "b"},
        fingerprint="f",
    )
    made = await uploads(records).create(ADA, new)
    assert records.rows == {made.id: made}
    assert (made.status, made.origin) == (UploadStatus.PENDING, Origin.API)
    assert (made.user_id, made.bucket) == (ADA, BUCKET)
    assert made.key == f"{IDENTITY}/{made.id}/ne.txt"
    assert (made.filename, made.declared_size, made.size) == ("né.txt", 5, None)
    assert (made.declared_checksum, made.checksum) == (Checksum("CRC32", "AAAAAA=="), None)
    assert (made.metadata, made.fingerprint) == ({"a": "b"}, "f")
    assert (made.created_at, made.expires_at) == (START, START + timedelta(days=7))
    assert made.next_look_at == START + timedelta(seconds=30)


async def test_two_uploads_of_one_name_have_two_keys() -> None:
    service = uploads(MemoryRecords())
    first, second = [await service.create(ADA, NEW) for _ in range(2)]
    assert first.key != second.key


@pytest.mark.parametrize(("asked", "reason"), [("auto", "auto"), ("credentials", "requested")])
async def test_credentials_are_the_transport(asked: TransportChoice, reason: str) -> None:
    new = NewUpload(filename="a", size=1, content_type="a/b", transport=asked)
    made = await uploads(MemoryRecords()).create(ADA, new)
    assert (made.transport, made.transport_reason) == (Transport.CREDENTIALS, reason)


@pytest.mark.parametrize(
    ("changes", "refused", "issue", "max_size"),
    [
        ({"transport": "presigned"}, TransportUnavailableError, "when_unlimited", None),
        ({"transport": "relay"}, TransportUnavailableError, "when_unlimited", None),
        ({"profile": "nothing"}, UnknownProfileError, "when_unlimited", None),
        ({"size": 11}, UploadTooLargeError, "checked_after_arrival", 10),
        ({}, PolicyError, "when_unlimited", 10),
        ({}, PolicyError, "never", None),
    ],
)
async def test_what_is_refused_is_neither_recorded_nor_asked_of_cognito(
    changes: dict[str, object],
    refused: type[Exception],
    issue: IssueCredentials,
    max_size: int | None,
) -> None:
    records, folders = MemoryRecords(), OneOwner()
    service = uploads(records, issue=issue, max_size=max_size, folders=folders)
    values = {"filename": "a", "size": 5, "content_type": "a/b", **changes}
    with pytest.raises(refused):
        await service.create(ADA, NewUpload(**values))  # type: ignore[arg-type]
    assert (records.rows, folders.asked) == ({}, 0)


async def test_the_callers_own_upload_is_shown_and_no_others() -> None:
    service = uploads(MemoryRecords(upload(id="upl_1")))
    assert (await service.get(ADA, "upl_1")).id == "upl_1"
    for user_id, upload_id in [(EVE, "upl_1"), (ADA, "upl_2")]:
        with pytest.raises(UploadNotFoundError):
            await service.get(user_id, upload_id)


async def test_pages_go_from_new_to_old_and_end() -> None:
    rows = [upload(id=f"upl_{n}", created_at=START + timedelta(n // 2)) for n in range(5)]
    service = uploads(MemoryRecords(*rows, upload(id="upl_e", user_id=EVE)))
    seen: list[str] = []
    after = None
    for size in (2, 2, 1):
        page, after = await service.page(ADA, status=None, after=after, limit=2)
        assert len(page) == size
        seen += [found.id for found in page]
    assert after is None
    assert seen == ["upl_4", "upl_3", "upl_2", "upl_1", "upl_0"]


async def test_a_page_that_ends_with_the_last_upload_has_no_successor() -> None:
    service = uploads(MemoryRecords(upload(id="upl_1"), upload(id="upl_2")))
    page, after = await service.page(ADA, status=None, after=None, limit=2)
    assert (len(page), after) == (2, None)


async def test_a_page_of_one_status() -> None:
    rows = [upload(id="upl_1"), upload(id="upl_2", status=UploadStatus.COMPLETED)]
    service = uploads(MemoryRecords(*rows))
    page, _ = await service.page(ADA, status=UploadStatus.COMPLETED, after=None, limit=9)
    assert [found.id for found in page] == ["upl_2"]
