"""Profiles as settings make them and the API shows them: what is taken, how much, and who looks."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

import errors
from tests.fakes.house import House, opened_house
from tests.fakes.problems import assert_problem
from tests.fakes.s3_api import S3Api
from tests.unit.routers.test_bad_tokens import token

UPLOADS = "/v1/uploads"
PROFILES = {
    "avatar": {
        "max_size": 1000,
        "content_types": ["image/*"],
        "extensions": ["png", "jpg"],
        "max_in_flight": 2,
        "quota": 1500,
        "key_template": "avatars/{upload_id}{extension}",
    },
    "checked": {"quarantine": True, "transports": ["presigned"]},
}
AVATAR = {"profile": "avatar", "filename": "Me.PNG", "size": 700, "content_type": "image/png"}
CHECKED = {"profile": "checked", "filename": "a.txt", "size": 5, "content_type": "text/plain"}


@pytest.fixture(scope="module")
async def strict(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("strict")
    async with opened_house(folder, uploads={"profiles": PROFILES}) as house:
        yield house


@pytest.fixture
def s3(strict: House) -> S3Api:
    strict.stub.answer = s3 = S3Api()
    return s3


@pytest.fixture
async def client(
    strict: House, s3: S3Api, request: pytest.FixtureRequest
) -> AsyncIterator[httpx.AsyncClient]:
    """A user of whom nothing counts yet."""
    async with strict.client() as client:
        user_id = f"usr_{abs(hash(request.node.name))}"
        client.headers["Authorization"] = f"Bearer {token(user_id=user_id)}"
        yield client


async def announced(client: httpx.AsyncClient, what: dict[str, Any]) -> Any:
    answer = await client.post(UPLOADS, json=what)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_auto_is_presigned_where_a_profile_has_limits_and_says_so(
    strict: House, client: httpx.AsyncClient
) -> None:
    made = await announced(client, {"filename": "a", "size": 5})
    assert (made["profile"], made["transport"]) == ("default", "presigned")
    assert made["transport_reason"] == "policy"
    assert made["put"] is not None
    for path, body in (
        ("/v1/credentials", {"mode": "cognito"}),
        ("/v1/credentials/exchange", None),
        (UPLOADS, {"filename": "a", "size": 5, "transport": "credentials"}),
        (f"{UPLOADS}/{made['id']}/transport", {"transport": "credentials"}),
    ):
        assert_problem(await client.post(path, json=body), errors.PolicyError)
    assert not [each for each in strict.stub.requests if "x-amz-target" in each.headers]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"size": 1001}, errors.UploadTooLargeError),
        ({"content_type": "text/html"}, errors.ContentTypeRefusedError),
        ({"filename": "me.svg"}, errors.ContentTypeRefusedError),
        ({"profile": "nothing"}, errors.UnknownProfileError),
    ],
)
async def test_what_its_profile_does_not_take_is_refused(
    client: httpx.AsyncClient, changes: dict[str, Any], kind: type[errors.UploadgateError]
) -> None:
    assert_problem(await client.post(UPLOADS, json={**AVATAR, **changes}), kind)
    assert (await client.get(UPLOADS)).json()["items"] == []


async def test_a_key_is_made_by_the_profiles_template(client: httpx.AsyncClient) -> None:
    made = await announced(client, AVATAR)
    assert made["key"].endswith(f"/avatars/{made['id']}.PNG")


async def test_a_quota_is_full_until_something_of_it_is_given_back(
    client: httpx.AsyncClient, s3: S3Api
) -> None:
    first, second = await announced(client, AVATAR), await announced(client, AVATAR)
    more = {**AVATAR, "size": 101}
    assert_problem(
        await client.post(UPLOADS, json=more), errors.QuotaExceededError, errors.TooManyUploadsError
    )
    s3.store(first["key"], 700, first["id"], "image/png")
    await client.post(f"{UPLOADS}/{first['id']}/complete")
    refused = assert_problem(await client.post(UPLOADS, json=more), errors.QuotaExceededError)
    assert refused["detail"] == "100 of 1500 bytes are left"
    for made in (first, second):
        await client.delete(f"{UPLOADS}/{made['id']}")
    await announced(client, more)


async def test_only_so_many_are_in_flight_at_once(client: httpx.AsyncClient) -> None:
    small = {**AVATAR, "size": 1}
    first = await announced(client, small)
    await announced(client, small)
    assert_problem(await client.post(UPLOADS, json=small), errors.TooManyUploadsError)
    await client.delete(f"{UPLOADS}/{first['id']}")
    await announced(client, small)


async def test_of_another_size_than_announced_is_rejected_deleted_and_said(
    client: httpx.AsyncClient, s3: S3Api
) -> None:
    made = await announced(client, {**CHECKED, "profile": "default"})
    s3.store(made["key"], 6, made["id"])
    address = f"{UPLOADS}/{made['id']}"
    reason = "5 bytes were announced, 6 arrived"
    for _ in range(2):
        found = assert_problem(await client.post(f"{address}/complete"), errors.UploadRejectedError)
        assert found["detail"] == reason
    assert (await client.get(address)).json()["status_reason"] == reason
    assert made["key"] not in s3.objects


@pytest.mark.parametrize(("verdict", "status"), [("clean", "completed"), ("rejected", "rejected")])
async def test_what_is_quarantined_waits_for_an_administrator(
    client: httpx.AsyncClient, s3: S3Api, verdict: str, status: str
) -> None:
    made = await announced(client, CHECKED)
    s3.store(made["key"], 5, made["id"])
    address = f"{UPLOADS}/{made['id']}"
    assert (await client.post(f"{address}/complete")).json()["status"] == "quarantined"
    assert_problem(await client.get(f"{address}/download"), errors.UploadStateError)
    body = {"verdict": verdict, "reason": "seen"}
    admin = {"Authorization": f"Bearer {token(user_id='usr_root', scope='admin')}"}
    for _ in range(2):
        answer = await client.post(f"{address}/verdict", json=body, headers=admin)
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    download = await client.get(f"{address}/download")
    if verdict == "clean":
        assert download.status_code == 200
        assert made["key"] in s3.objects
    else:
        assert_problem(download, errors.UploadEndedError)
        assert (await client.get(address)).json()["status_reason"] == "seen"
        assert made["key"] not in s3.objects


async def test_a_transport_that_the_profile_does_not_allow(client: httpx.AsyncClient) -> None:
    relayed = {**CHECKED, "transport": "relay"}
    assert_problem(await client.post(UPLOADS, json=relayed), errors.PolicyError)
    made = await announced(client, CHECKED)
    answer = await client.put(f"{UPLOADS}/{made['id']}/content", content=b"hello")
    assert_problem(answer, errors.PolicyError)
