"""Only what was verified is given back, and never as a page."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from errors import StoreUnavailableError, UploadEndedError, UploadStateError
from service.completion.outcome import Outcome
from service.uploads.model import Upload
from service.uploads.model import UploadStatus as S
from service.uploads.policy import Profile
from service.uploads.ports import StoredObject
from tests.fakes.clock import START
from tests.fakes.completion import URL_LIFE
from tests.fakes.records import upload
from tests.fakes.store import stored
from tests.fakes.uploads import UploadWorld


def completed(**changes: Any) -> Upload:
    return upload(**{"status": S.COMPLETED, "etag": "one", "next_look_at": None, **changes})


def world_of(row: Upload, *, there: StoredObject | None = None, **more: Any) -> UploadWorld:
    """The store has what was verified, unless something else is `there`."""
    world = UploadWorld(row, **more)
    world.store.put(row.key, there or stored())
    return world


async def signed_url(row: Upload) -> str:
    return (await world_of(row).downloads.sign(row)).url


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def test_a_completed_upload_is_an_attachment_under_its_own_name() -> None:
    row = completed(filename="né.txt", version_id="v1")
    world = world_of(row, there=stored(version_id="v1"))
    signed = await world.downloads.sign(row)
    assert world.store.versions_asked == 0
    assert query(signed.url) == {
        "disposition": "attachment; filename=\"ne.txt\"; filename*=UTF-8''n%C3%A9.txt",
        "type": "text/plain",
        "versionId": "v1",
    }
    assert signed.expires_at == START + URL_LIFE


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "text/xml", "nonsense"])
async def test_what_a_browser_could_run_is_bytes(kind: str) -> None:
    url = await signed_url(completed(content_type=kind))
    assert query(url)["type"] == "application/octet-stream"


async def test_it_comes_from_the_bucket_that_its_record_was_made_with() -> None:
    row = completed(bucket="older")
    world = UploadWorld(row)
    world.store.put(row.key, stored(), "older")
    assert urlsplit((await world.downloads.sign(row)).url).path == f"/older/{row.key}"


async def test_an_address_says_how_long_it_truly_lives() -> None:
    row = completed()
    world = world_of(row)
    world.signer.life = timedelta(seconds=9)
    assert (await world.downloads.sign(row)).expires_at == START + timedelta(seconds=9)


@pytest.mark.parametrize("status", [S.REJECTED, S.ABORTED, S.EXPIRED, S.DELETED])
async def test_what_has_ended_is_not_given(status: S) -> None:
    world = UploadWorld()
    with pytest.raises(UploadEndedError):
        await world.downloads.sign(upload(status=status))
    assert world.signer.signed == []


@pytest.mark.parametrize(
    "row",
    [upload(status=status) for status in (S.PENDING, S.UPLOADING, S.RECEIVED, S.QUARANTINED)],
)
async def test_what_is_not_verified_is_not_given(row: Upload) -> None:
    world = UploadWorld()
    with pytest.raises(UploadStateError, match=row.status.value):
        await world.downloads.sign(row)
    assert world.signer.signed == []


@pytest.mark.parametrize("quarantine", [False, True])
async def test_a_replacement_is_given(quarantine: bool) -> None:
    """With quarantine it has had a verdict of its own."""
    replaced = completed(status=S.REPLACED)
    world = world_of(replaced, profiles=[Profile(quarantine=quarantine)])
    await world.downloads.sign(replaced)
    assert world.signer.signed == ["get"]


async def test_a_verdicts_upload_is_given_in_spite_of_the_quarantine() -> None:
    row = completed()
    world = world_of(row, profiles=[Profile(quarantine=True)])
    await world.downloads.sign(row)
    assert world.signer.signed == ["get"]


async def test_what_was_written_again_is_not_given_and_the_sweep_tells_it() -> None:
    """The event of a form that was sent again may be late, or lost."""
    row = completed()
    world = world_of(row, there=stored(etag="two"))
    with pytest.raises(UploadStateError) as caught:
        await world.downloads.sign(row)
    assert (caught.value.retry_mode, world.signer.signed) == ("wait", [])
    assert world.row().next_look_at == START
    await world.sweep().step()
    assert (world.row().status, world.row().etag) == (S.REPLACED, "two")
    await world.downloads.sign(world.row())


async def test_what_was_written_again_after_a_verdict_waits_for_another() -> None:
    row = completed()
    world = world_of(row, there=stored(etag="two"), profiles=[Profile(quarantine=True)])
    for _ in range(2):
        with pytest.raises(UploadStateError):
            await world.downloads.sign(world.row())
        await world.sweep().step()
    assert (world.row().status, world.signer.signed) == (S.QUARANTINED, [])


async def test_what_is_gone_is_not_given_and_not_looked_for_for_ever() -> None:
    row = completed()
    world = UploadWorld(row)
    with pytest.raises(UploadStateError):
        await world.downloads.sign(row)
    await world.sweep().step()
    assert (world.row().status, world.row().next_look_at) == (S.COMPLETED, None)


class TestTheSameBytesAgain:
    """In another version: what was verified may have gone by a lifecycle rule since."""

    async def test_what_was_verified_is_given_while_it_is_there(self) -> None:
        row = completed(version_id="v1")
        world = world_of(row, there=stored(version_id="v2"))
        world.store.versions.add((row.bucket, row.key, "v1"))
        for _ in range(2):
            assert query((await world.downloads.sign(world.row())).url)["versionId"] == "v1"
            await world.settlement.settle(row.bucket, row.key)
        assert world.row() == row

    @pytest.mark.parametrize("status", [S.COMPLETED, S.REPLACED])
    @pytest.mark.parametrize("pinned", ["v1", None])
    @pytest.mark.parametrize("newest", ["v2", None])
    async def test_what_is_gone_is_not_given_and_what_is_there_is_verified(
        self, status: S, pinned: str | None, newest: str | None
    ) -> None:
        row = completed(status=status, version_id=pinned)
        world = world_of(row, there=stored(version_id=newest))
        if pinned == newest:
            await world.downloads.sign(row)
            assert world.store.versions_asked == 0
            return
        with pytest.raises(UploadStateError) as caught:
            await world.downloads.sign(row)
        assert (caught.value.retry_mode, world.signer.signed) == ("wait", [])
        assert await world.sweep().step() == 1
        assert (world.row().version_id, world.row().status) == (newest, status)
        assert (world.row().next_look_at, world.records.moves) == (None, [])
        signed = await world.downloads.sign(world.row())
        assert query(signed.url).get("versionId") == newest

    async def test_what_had_a_verdict_waits_for_another(self) -> None:
        """An ETag is an MD5: other bytes may have it."""
        row = completed(version_id="v1", completed_at=START)
        world = world_of(row, there=stored(version_id="v2"), profiles=[Profile(quarantine=True)])
        with pytest.raises(UploadStateError):
            await world.downloads.sign(row)
        await world.sweep().step()
        assert (world.row().status, world.row().version_id) == (S.QUARANTINED, "v2")
        await world.verdicts.give(row.id, "clean", None, "one")
        signed = await world.downloads.sign(world.row())
        assert (world.row().status, query(signed.url)["versionId"]) == (S.REPLACED, "v2")

    async def test_what_is_there_may_be_of_a_kind_that_is_not_allowed(self) -> None:
        row = completed(version_id="v1")
        world = world_of(
            row,
            there=stored(version_id="v2", content_type="text/html"),
            profiles=[Profile(content_types=("text/plain",))],
        )
        await world.settlement.settle(row.bucket, row.key)
        assert world.row().status is S.REJECTED
        assert not world.store.holds(row.key)

    async def test_a_look_that_another_has_overtaken_begins_anew(self) -> None:
        row = completed(version_id="v1")
        world = world_of(row, there=stored(version_id="v2"))
        world.records.lost_amendments = 1
        assert await world.settlement.settle(row.bucket, row.key) is Outcome.UNCHANGED
        assert world.row().version_id == "v2"


async def test_a_store_that_is_away_is_said() -> None:
    row = completed()
    world = world_of(row)
    world.store.failures = [StoreUnavailableError()]
    with pytest.raises(StoreUnavailableError):
        await world.downloads.sign(row)
    assert world.row() == row
