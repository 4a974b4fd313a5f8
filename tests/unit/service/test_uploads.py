"""Showing and listing uploads."""

from datetime import timedelta

import pytest

from errors import UploadNotFoundError
from service.uploads.model import Upload, UploadStatus
from service.uploads.uploads import Uploads
from tests.fakes.clock import START
from tests.fakes.records import BUCKET, upload
from tests.fakes.uploads import ADA, EVE, UploadWorld


def uploads(*rows: Upload) -> Uploads:
    return UploadWorld(*rows).uploads


async def test_the_callers_own_upload_is_shown_and_no_others() -> None:
    service = uploads(upload(id="upl_1"))
    assert (await service.get(ADA, "upl_1")).id == "upl_1"
    for user_id, upload_id in [(EVE, "upl_1"), (ADA, "upl_2")]:
        with pytest.raises(UploadNotFoundError):
            await service.get(user_id, upload_id)


async def test_pages_go_from_new_to_old_and_end() -> None:
    rows = [upload(id=f"upl_{n}", created_at=START + timedelta(n // 2)) for n in range(5)]
    service = uploads(*rows, upload(id="upl_e", user_id=EVE))
    seen: list[str] = []
    after = None
    for size in (2, 2, 1):
        page, after = await service.page(ADA, status=None, after=after, limit=2)
        assert len(page) == size
        seen += [found.id for found in page]
    assert after is None
    assert seen == ["upl_4", "upl_3", "upl_2", "upl_1", "upl_0"]


async def test_a_page_that_ends_with_the_last_upload_has_no_successor() -> None:
    service = uploads(upload(id="upl_1"), upload(id="upl_2"))
    page, after = await service.page(ADA, status=None, after=None, limit=2)
    assert (len(page), after) == (2, None)


async def test_a_page_of_one_status() -> None:
    rows = [upload(id="upl_1"), upload(id="upl_2", status=UploadStatus.COMPLETED)]
    service = uploads(*rows)
    page, _ = await service.page(ADA, status=UploadStatus.COMPLETED, after=None, limit=9)
    assert [found.id for found in page] == ["upl_2"]


async def test_a_page_of_one_fingerprint_so_that_a_reloaded_page_can_go_on() -> None:
    rows = [
        upload(id="upl_1", fingerprint="f"),
        upload(id="upl_2", fingerprint="g"),
        upload(id="upl_3"),
        upload(id="upl_4", fingerprint="f", user_id=EVE),
        upload(id="upl_5", fingerprint="f", status=UploadStatus.COMPLETED),
    ]
    service = uploads(*rows)
    page, _ = await service.page(ADA, status=None, after=None, limit=9, fingerprint="f")
    assert [found.id for found in page] == ["upl_5", "upl_1"]
    pending = UploadStatus.PENDING
    page, _ = await service.page(ADA, status=pending, after=None, limit=9, fingerprint="f")
    assert [found.id for found in page] == ["upl_1"]


async def test_a_key_finds_its_newest_upload_for_its_owner_alone() -> None:
    rows = [upload(id="upl_1", key="k"), upload(id="upl_2", key="k", generation=1)]
    service = uploads(*rows)
    assert (await service.by_key(ADA, BUCKET, "k")).id == "upl_2"
    for user_id, bucket, key in [(EVE, BUCKET, "k"), (ADA, "other", "k"), (ADA, BUCKET, "l")]:
        with pytest.raises(UploadNotFoundError):
            await service.by_key(user_id, bucket, key)
