"""From the announcement over the store's word to a completed record, as `create_app` wires it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from auth.accounts import Accounts
from tests.fakes.eventually import eventually
from tests.fakes.house import WEBHOOK_TOKEN, House, aws, opened_house
from tests.fakes.http_stub import Reply, Request
from tests.unit.routers.test_bad_tokens import GOOD, UPLOADS


def holding(size: int) -> Callable[[Request], Reply]:
    """A store that has every object."""

    def answer(request: Request) -> Reply:
        if request.method == "HEAD":
            return Reply(
                200, b"", {"ETag": '"one"', "x-amz-request-id": "18EB80081BCF5E38"}, promised=size
            )
        return Reply(204) if request.method == "DELETE" else aws(request)

    return answer


async def uploaded(house: House, client: httpx.AsyncClient, size: int) -> dict[str, Any]:
    """An upload of five bytes of which so many arrive, once it is settled."""
    client.headers["Authorization"] = f"Bearer {house.token}"
    made = (await client.post(UPLOADS, json=GOOD)).json()
    house.stub.answer = holding(size)
    entry = {"name": made["key"].rsplit("/", 1)[-1], "attributes": {"file_size": size}}
    answer = await client.post(
        "/v1/webhooks/seaweedfs",
        json={"key": f"/buckets/uploads/{made['key']}", "message": {"new_entry": entry}},
        headers={"Authorization": f"Bearer {WEBHOOK_TOKEN}"},
    )
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1})
    found: dict[str, Any] = {}

    async def settled() -> bool:
        found.update((await client.get(f"{UPLOADS}/{made['id']}")).json())
        return found["status"] in ("completed", "rejected")

    await eventually(settled)
    return found


@pytest.mark.parametrize(("size", "status"), [(5, "completed"), (6, "rejected")])
async def test_an_upload_is_verified_at_the_store(
    house: House, caller: httpx.AsyncClient, size: int, status: str
) -> None:
    found = await uploaded(house, caller, size)
    assert (found["status"], found["size"], found["etag"]) == (status, size, "one")
    await eventually(lambda: (house.stub.requests[-1].method == "DELETE") is (status == "rejected"))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_health_checks_answer_both_ways(caller: httpx.AsyncClient, method: str) -> None:
    for path in ("/livez", "/readyz"):
        assert (await caller.request(method, path)).headers["cache-control"] == "no-store"
    assert (await caller.request(method, "/livez")).status_code == 200


async def test_housekeeping_that_fails_does_not_stop_completion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(_: Accounts) -> int:
        raise RuntimeError("ours")

    monkeypatch.setattr(Accounts, "delete_expired", breaks)
    async with opened_house(tmp_path) as house, house.client() as client:
        assert (await uploaded(house, client, 5))["status"] == "completed"
