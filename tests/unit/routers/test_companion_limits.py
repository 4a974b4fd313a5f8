"""A profile's limits hold for uploads by ticket, whose size nobody tells."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import errors
from tests.fakes.companion_page import FILE, Begun, CompanionPage
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
