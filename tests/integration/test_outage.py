"""The service goes away and comes back; nothing that happened meanwhile is lost."""

import asyncio

import httpx

from tests.integration import store
from tests.integration.stack import Stack, eventually


async def test_a_file_uploaded_while_the_service_was_stopped_completes_by_itself(
    stack: Stack,
) -> None:
    user = await stack.user()
    keys = await store.credentials(stack, user)
    body = {"filename": "a.bin", "size": 5}
    upload = (await stack.api.post("/v1/uploads", headers=user.headers, json=body)).json()

    assert await stack.service.stop() == 0
    await asyncio.to_thread(
        store.client(keys).put_object, Bucket=upload["bucket"], Key=upload["key"], Body=b"hello"
    )
    await stack.service.start()

    done = await stack.upload_becomes(user, upload["id"], "completed")
    assert done["size"] == 5


async def test_an_overwrite_while_the_service_was_stopped_can_still_be_deleted(
    stack: Stack,
) -> None:
    user = await stack.user()
    keys = await store.credentials(stack, user)
    body = {"filename": "a.bin", "size": 5}
    upload = (await stack.api.post("/v1/uploads", headers=user.headers, json=body)).json()
    place = {"Bucket": upload["bucket"], "Key": upload["key"]}
    await asyncio.to_thread(store.client(keys).put_object, **place, Body=b"hello")
    await stack.upload_becomes(user, upload["id"], "completed")

    assert await stack.service.stop() == 0
    await asyncio.to_thread(store.client(keys).put_object, **place, Body=b"HELLO")
    await stack.service.start()

    address = f"/v1/uploads/{upload['id']}"
    first = await stack.api.delete(address, headers=user.headers)
    assert (first.status_code, first.json()["code"]) == (409, "upload_state")
    await stack.upload_becomes(user, upload["id"], "replaced")
    second = await stack.api.delete(address, headers=user.headers)
    assert second.json()["status"] == "deleted"


async def test_sigterm_makes_the_service_unready_and_it_serves_on_until_the_drain_is_over(
    stack: Stack,
) -> None:
    await stack.service.stop()
    stack.service.environment["UPLOADGATE_DRAIN_SECONDS"] = "6"
    await stack.service.start()
    process = stack.service.process
    assert process is not None
    process.terminate()

    async def unready() -> bool:
        answer = await stack.api.get("/readyz")
        return answer.status_code == 503 and answer.json()["status"] == "draining"

    await eventually(unready, "unready")
    assert (await stack.api.get("/livez")).status_code == 200
    # A new connection too: the listener is open until the drain is over.
    async with httpx.AsyncClient(trust_env=False, timeout=60) as fresh:
        assert (await fresh.get(f"{stack.service.url}/livez")).status_code == 200
    assert await process.wait() == 0

    stack.service.environment["UPLOADGATE_DRAIN_SECONDS"] = "0"
    await stack.service.start()


async def test_a_store_that_is_away_is_told_and_recovers(stack: Stack) -> None:
    user = await stack.user()
    keys = await store.credentials(stack, user)
    body = {"filename": "a.bin", "size": 5}
    upload = (await stack.api.post("/v1/uploads", headers=user.headers, json=body)).json()
    await asyncio.to_thread(
        store.client(keys).put_object, Bucket=upload["bucket"], Key=upload["key"], Body=b"hello"
    )
    await stack.upload_becomes(user, upload["id"], "completed")

    await stack.cloud.stop_store()
    answer = await stack.api.delete(f"/v1/uploads/{upload['id']}", headers=user.headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert "retry-after" in answer.headers
    await stack.cloud.start_store()
    await stack.upload_becomes(user, upload["id"], "completed")


async def test_a_cognito_that_is_away_is_a_clear_problem_for_who_insists_on_it(
    stack: Stack,
) -> None:
    user = await stack.user()
    insisting = {"filename": "a.bin", "size": 5, "transport": "credentials"}
    await stack.cloud.cognito.stop()
    try:
        for call, body in (
            ("/v1/credentials", {"mode": "cognito"}),
            ("/v1/credentials/exchange", {}),
            ("/v1/uploads", insisting),
        ):
            answer = await stack.api.post(call, headers=user.headers, json=body)
            assert answer.headers["content-type"] == "application/problem+json"
            assert (answer.status_code, answer.json()["code"]) == (503, "cognito_unavailable")
            assert answer.json()["retry_mode"] == "wait"
        answer = await stack.api.post("/v1/credentials", headers=user.headers)
        grant = answer.json()
        assert (grant["mode"], grant["reason"]) == ("presigned", "cognito_unavailable")
    finally:
        await stack.cloud.cognito.start()
    listed = await stack.api.get("/v1/uploads", headers=user.headers)
    assert listed.json()["items"] == []

    # It is tried by itself whether Cognito is back, and then everybody has it.
    async def back() -> bool:
        answer = await stack.api.post("/v1/credentials", headers=user.headers)
        return bool(answer.json()["mode"] == "cognito")

    await eventually(back, "Cognito is used again")
    answer = await stack.api.post("/v1/credentials", headers=user.headers, json={"mode": "cognito"})
    assert answer.status_code == 200
