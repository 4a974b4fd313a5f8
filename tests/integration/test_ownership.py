"""Another user's upload does not exist, by any route; and no log says what only its owner may
know.
"""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration import store
from tests.integration.sender import MIB, Sender, piece, problem, sender_at
from tests.integration.stack import Stack

CONTENT = os.urandom(9 * MIB)


@pytest.fixture
async def owner(stack: Stack) -> AsyncIterator[Sender]:
    async with sender_at(stack) as opened:
        yield opened


@pytest.fixture
async def other(stack: Stack) -> AsyncIterator[Sender]:
    async with sender_at(stack) as opened:
        yield opened


Route = tuple[str, str, dict[str, Any]]
ROUTES: list[Route] = [
    ("GET", "", {}),
    ("DELETE", "", {}),
    ("GET", "/download", {}),
    ("GET", "/parts", {}),
    ("POST", "/parts", {"json": {"part_numbers": [1]}}),
    ("POST", "/complete", {}),
    ("POST", "/complete", {"headers": {"Idempotency-Key": "one"}}),
    ("POST", "/transport", {"json": {"transport": "relay"}}),
    ("PUT", "/content", {"content": CONTENT}),
]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
@pytest.mark.parametrize("size", [5, len(CONTENT)], ids=["small", "in parts"])
async def test_another_users_upload_does_not_exist(
    stack: Stack, owner: Sender, other: Sender, size: int, route: Route
) -> None:
    method, path, more = route
    upload = await owner.announce(size)
    theirs = problem(
        await other.ask(method, f"/{upload['id']}{path}", **more), 404, "upload_not_found"
    )
    nobodys = problem(await other.ask(method, f"/upl_none{path}", **more), 404, "upload_not_found")
    for found in (theirs, nobodys):
        del found["request_id"]
    assert theirs == nobodys
    shown = await owner.show(upload)
    assert (shown["status"], shown["updated_at"]) == ("pending", upload["updated_at"])
    assert await store.gone(stack, upload)


async def test_lists_are_the_callers_own(owner: Sender, other: Sender) -> None:
    upload = await owner.announce(5, fingerprint="a.bin-5-1700000000")
    for query in ("", "?fingerprint=a.bin-5-1700000000", "?status=pending"):
        assert (await other.ask("GET", query)).json()["items"] == []
        [found] = (await owner.ask("GET", query)).json()["items"]
        assert found["id"] == upload["id"]


async def test_a_verdict_is_no_users_own_affair(owner: Sender) -> None:
    upload = await owner.announce(5)
    answer = await owner.ask("POST", f"/{upload['id']}/verdict", json={"verdict": "clean"})
    problem(answer, 403, "missing_scope")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
async def test_a_stranger_learns_nothing(stack: Stack, owner: Sender, route: Route) -> None:
    method, path, more = route
    upload = await owner.announce(5)
    address = f"/v1/uploads/{upload['id']}{path}"
    answer = await stack.api.request(method, address, **more)
    problem(answer, 401, "not_authenticated")
    assert "www-authenticate" in answer.headers


async def test_no_answer_with_addresses_may_be_kept_by_a_cache(owner: Sender) -> None:
    upload = await owner.announce(len(CONTENT))
    answers = [
        await owner.create(5),
        await owner.ask("GET", ""),
        await owner.ask("GET", f"/{upload['id']}"),
        await owner.sign(upload, [1]),
    ]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


async def test_no_log_holds_an_address_a_signature_or_a_key(stack: Stack, owner: Sender) -> None:
    secrets = {stack.cloud.service_secret_access_key, stack.cloud.webhook_token, owner.user.token}
    small = await owner.announce(5)
    secrets |= _secrets(small["put"]["url"]) | {small["post"]["fields"]["policy"]}
    secrets.add(small["post"]["fields"]["x-amz-signature"])
    assert (await owner.put(small["put"], b"hello")).status_code == 200
    await owner.completed(small)
    download = (await owner.ask("GET", f"/{small['id']}/download")).json()
    secrets |= _secrets(download["url"])

    large = await owner.announce(len(CONTENT))
    for part in await owner.signed(large, [1, 2]):
        secrets |= _secrets(part["url"])
        await owner.put(part, piece(large, CONTENT, part["part_number"]))
    await owner.completed(large)
    relayed = await owner.announce(len(CONTENT), transport="relay")
    assert (await owner.relay(relayed, CONTENT)).status_code == 200
    failing = await owner.announce(len(CONTENT), transport="relay")
    await stack.cloud.stop_store()
    try:
        problem(await owner.relay(failing, CONTENT), 503, "store_unavailable")
    finally:
        await stack.cloud.start_store()
    keys = await store.credentials(stack, owner.user)
    secrets |= {keys["secret_access_key"], keys["session_token"], keys["access_key_id"]}

    log = stack.service.log.read_text()
    assert large["id"] in log  # it is this log
    assert [secret for secret in secrets if secret in log] == []
    assert "X-Amz-" not in log
    assert "x-amz-" not in log


def _secrets(url: str) -> set[str]:
    """The signature, and whatever else of the address may not be known."""
    query = url.partition("?")[2]
    return {query, url.partition("X-Amz-Signature=")[2]}
