"""Only what was verified is given back, and never as a page."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from errors import UploadEndedError, UploadStateError
from service.uploads.model import Upload
from service.uploads.model import UploadStatus as S
from service.uploads.policy import Profile
from tests.fakes.clock import START
from tests.fakes.records import upload
from tests.fakes.uploads import URL_LIFE, UploadWorld


def completed(**changes: Any) -> Upload:
    return upload(**{"status": S.COMPLETED, "next_look_at": None, **changes})


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def test_a_completed_upload_is_an_attachment_under_its_own_name() -> None:
    world = UploadWorld()
    signed = await world.downloads.sign(completed(filename="né.txt", version_id="v1"))
    assert query(signed.url) == {
        "disposition": "attachment; filename=\"ne.txt\"; filename*=UTF-8''n%C3%A9.txt",
        "type": "text/plain",
        "versionId": "v1",
    }
    assert signed.expires_at == START + URL_LIFE


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "text/xml", "nonsense"])
async def test_what_a_browser_could_run_is_bytes(kind: str) -> None:
    signed = await UploadWorld().downloads.sign(completed(content_type=kind))
    assert query(signed.url)["type"] == "application/octet-stream"


async def test_an_address_says_how_long_it_truly_lives() -> None:
    world = UploadWorld()
    world.signer.life = timedelta(seconds=9)
    assert (await world.downloads.sign(completed())).expires_at == START + timedelta(seconds=9)


@pytest.mark.parametrize("status", [S.REJECTED, S.ABORTED, S.EXPIRED, S.DELETED])
async def test_what_has_ended_is_not_given(status: S) -> None:
    world = UploadWorld()
    with pytest.raises(UploadEndedError):
        await world.downloads.sign(upload(status=status))
    assert world.signer.signed == []


@pytest.mark.parametrize(
    "row",
    [
        *[upload(status=status) for status in (S.PENDING, S.UPLOADING, S.RECEIVED, S.QUARANTINED)],
        # Written again, and not yet looked at.
        upload(status=S.REPLACED, next_look_at=START),
    ],
)
async def test_what_is_not_verified_is_not_given(row: Upload) -> None:
    world = UploadWorld()
    with pytest.raises(UploadStateError, match=row.status.value):
        await world.downloads.sign(row)
    assert world.signer.signed == []


@pytest.mark.parametrize("quarantine", [False, True])
async def test_a_replacement_is_given_once_verified_but_no_verdict_was_on_it(
    quarantine: bool,
) -> None:
    world = UploadWorld(profiles=[Profile(quarantine=quarantine)])
    replaced = completed(status=S.REPLACED)
    if quarantine:
        with pytest.raises(UploadStateError):
            await world.downloads.sign(replaced)
    else:
        await world.downloads.sign(replaced)


async def test_a_verdicts_upload_is_given_in_spite_of_the_quarantine() -> None:
    world = UploadWorld(profiles=[Profile(quarantine=True)])
    await world.downloads.sign(completed())
    assert world.signer.signed == ["get"]
