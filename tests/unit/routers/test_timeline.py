"""The timeline on the wire, and who may read it."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import errors
import routers.timeline
from auth.callers import ADMIN, UPLOADS, Caller, UnverifiedToken
from routers import problems
from service.completion.history import History
from service.completion.timeline import Timeline
from service.uploads.model import UploadStatus
from tests.fakes.clock import START, Clock
from tests.fakes.problems import assert_problem
from tests.fakes.records import MemoryRecords, upload
from tests.fakes.timeline import MemoryHistory, heard, history, moved, sent

UPLOAD = upload(status=UploadStatus.QUARANTINED, status_reason="x", looks=2, next_look_at=START)
PATH = f"/v1/uploads/{UPLOAD.id}/timeline"
SCOPES = {
    "ada": {UPLOADS},
    "eve": {UPLOADS},
    "root": {ADMIN},
    "both": {ADMIN, UPLOADS},
    "mail": {"mail"},
}


class Accounts:
    """Whoever says a name has it."""

    async def authenticate(self, token: UnverifiedToken) -> Caller:
        return Caller(f"usr_{token}", token, frozenset(SCOPES[token]), START)


def app(kept: History) -> FastAPI:
    records = MemoryRecords(UPLOAD)
    timeline = Timeline(records=records, history=MemoryHistory(kept), clock=Clock())

    made = FastAPI(separate_input_output_schemas=False)
    made.include_router(routers.timeline.router)
    problems.install(made)
    made.state.services = SimpleNamespace(accounts=Accounts(), timeline=timeline)
    return made


async def get(who: str, kept: History | None = None, path: str = PATH) -> httpx.Response:
    made = app(kept or history())

    async def with_services(scope: Any, receive: Any, send: Any) -> None:
        await made({**scope, "state": {"services": made.state.services}}, receive, send)

    transport = httpx.ASGITransport(with_services)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers={"Authorization": f"Bearer {who}"})


async def test_all_that_is_told_of_it() -> None:
    kept = history(
        heard(-1, sequencer="0055", event_time=START, raw={"é": [1]}),
        moved("quarantined", 1, reason="because"),
        sent(2),
        truncated=True,
    )
    answer = await get("both", kept)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json() == {
        "upload_id": "upl_1",
        "status": "quarantined",
        "status_reason": "x",
        "waiting_for": "verdict",
        "explanation": "It is in quarantine since 2030-01-01 00:00:01 UTC, waiting for a verdict.",
        "next_look_at": "2030-01-01T00:00:00Z",
        "looks": 2,
        "server_time": "2030-01-01T00:00:00Z",
        "truncated": True,
        "items": [
            {
                "kind": "store_event",
                "received_at": "2029-12-31T23:59:59Z",
                "source": "seaweedfs",
                "event_time": "2030-01-01T00:00:00Z",
                "size": 5,
                "etag": "one",
                "version_id": None,
                "sequencer": "0055",
                "outcome": "completed",
                "attempts": 1,
                "failed": False,
                "next_attempt_at": None,
                "raw": {"é": [1]},
            },
            {
                "kind": "created",
                "at": "2030-01-01T00:00:00Z",
                "origin": "api",
                "profile": "default",
                "size": 5,
                "expires_at": "2030-01-08T00:00:00Z",
            },
            {
                "kind": "transition",
                "at": "2030-01-01T00:00:01Z",
                "from": "pending",
                "to": "quarantined",
                "reason": "because",
                "sequence": 1,
            },
            {
                "kind": "webhook",
                "at": "2030-01-01T00:00:02Z",
                "endpoint_id": "ep_1",
                "event_id": "evt_1",
                "attempts": 1,
                "last_status": 503,
                "last_error": "status",
                "next_attempt_at": "2030-01-01T01:00:00Z",
                "delivered_at": None,
            },
        ],
    }


@pytest.mark.parametrize("raw", [None, "text", 5, ["a", None], {"a": {"b": []}}, 2**70])
async def test_what_a_source_said_is_told_as_it_is(raw: Any) -> None:
    answer = await get("ada", history(heard(1, raw=raw)))
    assert answer.json()["items"][1]["raw"] == raw


@pytest.mark.parametrize("who", ["ada", "root", "both"])
async def test_its_owner_and_administrators_read_it(who: str) -> None:
    answer = await get(who)
    assert [item["kind"] for item in answer.json()["items"]] == ["created"]


async def test_another_users_does_not_exist() -> None:
    for who, path in (("eve", PATH), ("root", "/v1/uploads/x/timeline")):
        assert_problem(await get(who, path=path), errors.UploadNotFoundError, request_id=False)


async def test_a_token_for_other_things_reads_none() -> None:
    assert_problem(await get("mail"), errors.MissingScopeError, request_id=False)


def test_the_items_are_told_apart_by_their_kind() -> None:
    document = app(history()).openapi()
    items = document["components"]["schemas"]["TimelineResponse"]["properties"]["items"]["items"]
    assert items["discriminator"]["propertyName"] == "kind"
    assert set(items["discriminator"]["mapping"]) == {
        "created",
        "transition",
        "store_event",
        "webhook",
    }
    step = document["components"]["schemas"]["TransitionItem"]
    assert {"from", "to"} <= set(step["required"])
    operation = document["paths"]["/v1/uploads/{upload_id}/timeline"]["get"]
    assert operation["operationId"] == "get_upload_timeline"
