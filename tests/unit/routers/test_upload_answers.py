"""What a good announcement answers, and what each user then sees of it."""

from urllib.parse import unquote_plus

import httpx
import pytest

import errors
from tests.fakes import cognito_api
from tests.fakes.problems import assert_problem
from tests.unit.routers.test_bad_tokens import GOOD, UPLOADS, token


@pytest.mark.parametrize(
    "name",
    ["🎉🎊.png", "Ünï côde.PDF", "漢字.txt", "a b+c%20d.txt", "x" * 1024, "é" * 512, "...", "a..b"],
)
async def test_any_name_is_kept_and_the_key_is_plain(caller: httpx.AsyncClient, name: str) -> None:
    answer = await caller.post(UPLOADS, json={**GOOD, "filename": name})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["filename"] == name
    assert made["key"].isascii()
    assert unquote_plus(made["key"]) == made["key"]
    assert made["key"].startswith(f"{cognito_api.IDENTITY}/{made['id']}/")
    assert answer.headers["location"] == f"{UPLOADS}/{made['id']}"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/plain; charset=utf-8", "image/svg+xml", "application/x.y-z"]
)
async def test_a_content_type_is_kept(caller: httpx.AsyncClient, kind: str) -> None:
    answer = await caller.post(UPLOADS, json={**GOOD, "content_type": kind})
    assert answer.json()["content_type"] == kind


async def test_an_upload_is_shown_to_its_owner_alone(caller: httpx.AsyncClient) -> None:
    made = (await caller.post(UPLOADS, json=GOOD)).json()
    shown = (await caller.get(f"{UPLOADS}/{made['id']}")).json()
    assert {**shown, "server_time": 0} == {**made, "server_time": 0}
    caller.headers["Authorization"] = f"Bearer {token(user_id='usr_eve')}"
    for call in (caller.get(f"{UPLOADS}/{made['id']}"), caller.delete(f"{UPLOADS}/{made['id']}")):
        assert_problem(await call, errors.UploadNotFoundError)
    assert (await caller.get(UPLOADS)).json() == {"items": [], "next_cursor": None}


async def test_pages_follow_one_another_to_the_end(caller: httpx.AsyncClient) -> None:
    for _ in range(3):
        await caller.post(UPLOADS, json={**GOOD, "fingerprint": "pages"})
    seen: list[str] = []
    query: dict[str, str] = {"limit": "2", "status": "pending", "fingerprint": "pages"}
    while True:
        page = (await caller.get(UPLOADS, params=query)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    everything = (await caller.get(UPLOADS, params={"limit": "100"})).json()["items"]
    assert seen == [item["id"] for item in everything[:3]]
    assert len(seen) == len(set(seen)) == 3


async def test_an_aborted_upload_stays_aborted(caller: httpx.AsyncClient) -> None:
    made = (await caller.post(UPLOADS, json=GOOD)).json()
    for _ in range(2):
        answer = await caller.delete(f"{UPLOADS}/{made['id']}")
        assert (answer.status_code, answer.json()["status"]) == (200, "aborted")
