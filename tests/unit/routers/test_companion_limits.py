"""A profile's limits hold for uploads by ticket, whose size nobody tells."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import errors
from tests.fakes.companion_page import FILE, TICKETS, Begun, CompanionPage, every_call
from tests.fakes.house import opened_house
from tests.fakes.problems import assert_problem
from tests.fakes.s3_api import S3Api
from tests.fakes.uppy_page import MIB

PICTURE = {**FILE, "type": "image/png"}


@pytest.fixture
async def avatars(tmp_path: Path) -> AsyncIterator[CompanionPage]:
    """With a ticket of a profile that has limits."""
    profile = {
        "max_size": 6 * MIB,
        "quota": 20 * MIB,
        "max_in_flight": 2,
        "content_types": ["image/*"],
    }
    async with opened_house(tmp_path, uploads={"profiles": {"avatar": profile}}) as house:
        s3 = S3Api()
        house.stub.answer = s3
        async with house.client() as client:
            opened = CompanionPage(house, client, s3)
            await opened.get_ticket(profile="avatar")
            yield opened


async def usage(page: CompanionPage) -> tuple[int, int]:
    me = (await page.client.get("/v1/auth/me", headers=page.token)).json()
    found = await page.house.services.uploads._records.usage(me["user_id"], "avatar")
    return found.bytes, found.in_flight


async def test_a_size_that_is_not_told_reserves_all_that_the_profile_allows(
    avatars: CompanionPage,
) -> None:
    said = await avatars.said("POST", "/multipart", json=PICTURE)
    form = await avatars.said("GET", "/params", params={"filename": "a", "type": "image/png"})
    policy = json.loads(base64.b64decode(form["fields"]["policy"]))
    assert ["content-length-range", 0, 6 * MIB] in policy["conditions"]
    assert await usage(avatars) == (12 * MIB, 2)
    answer = await avatars.call("POST", "/multipart", json=PICTURE)
    assert_problem(answer, errors.TooManyUploadsError)
    begun = Begun(avatars, said["key"], said["uploadId"])
    await avatars.said("DELETE", begun.path, **begun.where)
    assert await usage(avatars) == (6 * MIB, 1)


async def test_more_than_the_profile_allows_is_rejected_before_it_is_an_object(
    avatars: CompanionPage,
) -> None:
    said = await avatars.said("POST", "/multipart", json=PICTURE)
    begun = Begun(avatars, said["key"], said["uploadId"])
    named = avatars.s3.put(begun.id, 5 * MIB, MIB + 1)
    assert_problem(await begun.complete(named), errors.UploadRejectedError)
    assert (await avatars.record(begun.key))["status"] == "rejected"
    assert (avatars.s3.multiparts, avatars.s3.objects) == ({}, {})
    assert await usage(avatars) == (0, 0)


async def test_a_ticket_begins_nothing_that_its_profile_does_not_take(
    avatars: CompanionPage,
) -> None:
    answer = await avatars.call("POST", "/multipart", json=FILE)
    assert_problem(answer, errors.ContentTypeRefusedError)
    answer = await avatars.call("GET", "/params", params={"filename": "a", "type": "text/html"})
    assert_problem(answer, errors.ContentTypeRefusedError)
    assert await avatars.uploads() == []


async def test_a_ticket_goes_on_only_with_uploads_of_its_own_profile(
    avatars: CompanionPage,
) -> None:
    said = await avatars.said("POST", "/multipart", json=PICTURE)
    begun = Begun(avatars, said["key"], said["uploadId"])
    await avatars.get_ticket()
    assert_problem(await avatars.call("GET", begun.path, **begun.where), errors.UploadNotFoundError)


async def test_no_credentials_by_ticket_where_a_limit_could_be_got_round(
    avatars: CompanionPage,
) -> None:
    assert_problem(await avatars.call("GET", "/sts"), errors.PolicyError)
    await avatars.get_ticket()
    assert_problem(await avatars.call("GET", "/sts"), errors.PolicyError)
    assert not [
        request for request in avatars.house.stub.requests if "x-amz-target" in request.headers
    ]


async def test_no_ticket_for_a_quota_that_its_first_upload_would_take_whole(
    tmp_path: Path,
) -> None:
    profiles = {"profiles": {"shelf": {"quota": 20 * MIB}}}
    async with opened_house(tmp_path, uploads=profiles) as house, house.client() as client:
        page = CompanionPage(house, client, S3Api())
        answer = await client.post(TICKETS, json={"profile": "shelf"}, headers=page.token)
        assert_problem(answer, errors.PolicyError)
        await page.get_ticket()


async def test_what_is_begun_by_ticket_ends_with_it_and_a_form_with_its_address(
    tmp_path: Path,
) -> None:
    lives = {"tickets": {"companion_seconds": 100}, "uploads": {"url_seconds": 10}}
    async with opened_house(tmp_path, **lives) as house, house.client() as client:
        house.stub.answer = s3 = S3Api()
        page = CompanionPage(house, client, s3)
        await page.get_ticket()
        form = await page.said("GET", "/params", params={"filename": "a"})
        begun = await page.said("POST", "/multipart", json=FILE)
        lives_of = {
            key: _seconds(await page.record(key)) for key in (form["fields"]["key"], begun["key"])
        }
        assert 0 < lives_of[form["fields"]["key"]] <= 10 < lives_of[begun["key"]] <= 100
        assert form["expires"] <= 10


def _seconds(record: dict[str, Any]) -> float:
    ends, now = (datetime.fromisoformat(record[name]) for name in ("expires_at", "server_time"))
    return (ends - now).total_seconds()


async def test_the_tickets_of_a_disabled_user_open_nothing(tmp_path: Path) -> None:
    async with opened_house(tmp_path) as house, house.client() as client:
        page = CompanionPage(house, client, S3Api())
        await page.get_ticket()
        await house.services.accounts.disable_user("ada")
        for answer in await every_call(page):
            assert_problem(answer, errors.InvalidTicketError)
