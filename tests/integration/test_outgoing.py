"""How the application hears: webhooks from the running service to receivers that verify them."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from service.clock import utc_now
from service.delivery import signing
from state.database import Database
from state.identities import SqlIdentityHistory
from tests.integration import store
from tests.integration.receiver import SETTINGS, Administrator, Answer, Attempt, Receiver
from tests.integration.replica import Replica, replica
from tests.integration.sender import Sender, problem
from tests.integration.stack import Stack, eventually

CONTENT = b"hello, application"
SIZE = len(CONTENT)
METADATA = {"order": "4711", "note": "für später, 漢字 & <b>"}
COMPLETED = "upload.completed"
PROFILES = json.dumps({"held": {"quarantine": True}})
PER_ENDPOINT = 2


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def telling(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A service that hears its own store, and may tell receivers on the loopback interface."""
    more = {
        "UPLOADGATE_DELIVERY__CONCURRENCY": str(2 * PER_ENDPOINT),
        "UPLOADGATE_DELIVERY__PER_ENDPOINT": str(PER_ENDPOINT),
        "UPLOADGATE_UPLOADS__PROFILES": PROFILES,
    }
    async with Stack.running(tmp_path_factory.mktemp("telling"), **SETTINGS, **more) as running:
        yield running


def _of(stack: Stack) -> Replica:
    url = stack.service.environment["UPLOADGATE_DATABASE__URL"]
    return Replica(stack.service, stack.api, url)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def admin(telling: Stack) -> Administrator:
    return Administrator(telling.api, await _of(telling).user(admin=True))


@pytest.fixture
async def sender(telling: Stack) -> AsyncIterator[Sender]:
    async with _of(telling).sender() as opened:
        yield opened


async def _sent(sender: Sender, **more: Any) -> Any:
    """The upload, whose object is at the store; the rest is the service's own doing."""
    upload = await sender.announce(SIZE, **more)
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    return upload


async def test_a_completed_upload_is_told_with_the_metadata_of_its_creation(
    admin: Administrator, sender: Sender
) -> None:
    async with admin.receiving() as (receiver, endpoint):
        upload = await _sent(sender, metadata=METADATA, filename="été.bin")
        attempt = await receiver.heard(upload, COMPLETED)
        message = attempt.verified(endpoint["secret"])
        assert not attempt.is_signed_with(signing.new_secret())

        shown = await sender.becomes(upload, "completed")
        told = message["data"]["upload"]
        assert message["type"] == COMPLETED
        assert message["data"]["previous_status"] == "pending"
        assert told["metadata"] == METADATA
        assert told["user_id"] == sender.user.id
        assert {name: told[name] for name in told if name in shown} == {
            name: shown[name] for name in shown if name in told
        }
        assert {"status", "etag", "key", "size", "filename", "completed_at"} <= set(told)
        assert not set(told) & {"put", "post", "multipart"}
        assert attempt.headers["content-type"] == "application/json"
        assert attempt.headers["user-agent"].startswith("uploadgate/")
        [only] = [one for one in receiver.attempts if one.upload.get("id") == upload["id"]]
        assert only is attempt


async def test_the_numbers_of_a_users_messages_count_up(
    admin: Administrator, sender: Sender
) -> None:
    async with admin.receiving() as (receiver, _):
        upload = await _sent(sender)
        await receiver.heard(upload, COMPLETED)
        await sender.ask("DELETE", f"/{upload['id']}")
        await receiver.heard(upload, "upload.deleted")
        numbers = [
            (await receiver.heard(upload, kind)).message["data"]["sequence"]
            for kind in (COMPLETED, "upload.deleted")
        ]
    assert numbers == [1, 2]


async def test_an_aborted_upload_is_told(admin: Administrator, sender: Sender) -> None:
    async with admin.receiving() as (receiver, endpoint):
        upload = await sender.announce(SIZE)
        assert (await sender.ask("DELETE", f"/{upload['id']}")).status_code == 200
        attempt = await receiver.heard(upload, "upload.aborted")
        attempt.verified(endpoint["secret"])
        assert attempt.upload["status"] == "aborted"


async def test_an_upload_of_another_size_is_told_as_rejected(
    telling: Stack, admin: Administrator, sender: Sender
) -> None:
    async with admin.receiving() as (receiver, endpoint):
        upload = await sender.announce(SIZE)
        put = store.service(telling).put_object
        await asyncio.to_thread(put, **store.place(upload), Body=CONTENT + b"!")
        attempt = await receiver.heard(upload, "upload.rejected")
        attempt.verified(endpoint["secret"])
        assert attempt.upload["status_reason"] == (
            f"{SIZE} bytes were announced, {SIZE + 1} arrived"
        )
        assert receiver.types(upload) == ["upload.rejected"]


async def test_what_is_written_again_is_told_as_replaced_with_what_is_there_now(
    telling: Stack, admin: Administrator, sender: Sender
) -> None:
    async with admin.receiving() as (receiver, endpoint):
        upload = await _sent(sender, metadata=METADATA)
        first = await receiver.heard(upload, COMPLETED)
        put = store.service(telling).put_object
        await asyncio.to_thread(put, **store.place(upload), Body=CONTENT.upper())
        second = await receiver.heard(upload, "upload.replaced")
        second.verified(endpoint["secret"])
        found = await store.head(telling, upload)
        assert found is not None
        assert second.upload["etag"] == found["ETag"].strip('"') != first.upload["etag"]
        assert second.upload["metadata"] == METADATA


async def test_a_changed_identity_is_told(
    telling: Stack, admin: Administrator, sender: Sender
) -> None:
    pool = telling.service.environment["UPLOADGATE_COGNITO__IDENTITY_POOL_ID"]
    earlier = "us-east-1:00000000-0000-4000-8000-000000000000"
    url = telling.service.environment["UPLOADGATE_DATABASE__URL"]
    async with Database.opened(url) as database:
        await SqlIdentityHistory(database, utc_now).note(pool, sender.user.id, earlier)
    async with admin.receiving() as (receiver, endpoint):
        headers = sender.user.headers
        answer = await telling.api.post(
            "/v1/credentials", json={"mode": "cognito"}, headers=headers
        )
        assert answer.status_code == 200, answer.text
        [attempt] = await receiver.those(lambda one: one.type == "identity.changed")
        data = attempt.verified(endpoint["secret"])["data"]
    assert data == {
        "sequence": 1,
        "user_id": sender.user.id,
        "identity_pool_id": pool,
        "identity_id": answer.json()["identity_id"],
        "previous_identity_id": earlier,
    }


async def test_an_endpoint_hears_what_it_asks_for(admin: Administrator, sender: Sender) -> None:
    wanted = ["upload.quarantined", "upload.deleted"]
    async with (
        admin.receiving(event_types=wanted) as (receiver, _),
        admin.receiving() as (other, _),
    ):
        upload = await _sent(sender, profile="held")
        await receiver.heard(upload, "upload.quarantined")
        verdict = {"verdict": "clean"}
        path = f"/v1/uploads/{upload['id']}/verdict"
        await sender.api.post(path, json=verdict, headers=admin.user.headers)
        await other.heard(upload, COMPLETED)
        await sender.ask("DELETE", f"/{upload['id']}")
        await receiver.heard(upload, "upload.deleted")
        await other.heard(upload, "upload.deleted")
    assert receiver.types(upload) == wanted
    assert other.types(upload) == [COMPLETED, "upload.deleted"]


async def test_a_failed_attempt_is_repeated_with_the_same_id_and_the_same_bytes(
    admin: Administrator, sender: Sender
) -> None:
    async with admin.receiving() as (receiver, endpoint):
        receiver.answers.append(Answer(500))
        upload = await _sent(sender)
        first, second = await receiver.tried(upload, COMPLETED, 2)
        assert (first.status, second.status) == (500, 204)
        assert (first.id, first.body) == (second.id, second.body)
        for attempt in (first, second):
            attempt.verified(endpoint["secret"])
        delivered = await _settled(admin, endpoint, "delivered")
    assert (delivered["event_id"], delivered["attempts"]) == (first.id, 2)
    assert (delivered["last_status"], delivered["last_error"]) == (204, None)


async def _settled(admin: Administrator, endpoint: Any, status: str) -> Any:
    """The endpoint's one delivery."""

    async def found() -> Any:
        deliveries = await admin.deliveries(endpoint)
        assert len(deliveries) <= 1
        return next((one for one in deliveries if one["status"] == status), None)

    return await eventually(found, f"it is {status}")


async def test_what_always_fails_is_given_up_and_goes_out_again_by_a_replay(
    admin: Administrator, sender: Sender
) -> None:
    async with admin.receiving() as (receiver, endpoint):
        receiver.answers.extend([Answer(503)] * 5)
        upload = await _sent(sender)
        failed = await _settled(admin, endpoint, "failed")
        assert (failed["attempts"], failed["last_status"]) == (5, 503)
        assert len(receiver.attempts) == 5

        body = {"since": upload["created_at"], "only_failed": True}
        path = f"/{endpoint['id']}/replay"
        assert await admin.asked("POST", path, json=body) == {"replayed": 1}
        attempts = await receiver.tried(upload, COMPLETED, 6)
        await _settled(admin, endpoint, "delivered")
    assert {attempt.id for attempt in attempts} == {failed["event_id"]}


async def test_a_receiver_that_is_gone_is_disabled_and_hears_again_once_it_is_enabled(
    admin: Administrator, sender: Sender
) -> None:
    async with admin.receiving() as (gone, endpoint), admin.receiving() as (other, _):
        gone.answers.append(Answer(410))
        upload = await _sent(sender)
        await gone.heard(upload, COMPLETED)

        async def disabled() -> Any:
            shown = await admin.asked("GET", f"/{endpoint['id']}")
            return None if shown["enabled"] else shown

        shown = await eventually(disabled, "it is disabled")
        assert shown["disabled_reason"] == "It answered 410 Gone"
        failed = await _settled(admin, endpoint, "failed")
        assert (failed["attempts"], failed["last_status"]) == (1, 410)

        missed = await _sent(sender)
        told = await other.heard(missed, COMPLETED)
        assert await admin.deliveries(endpoint) == [failed]
        body: dict[str, Any] = {"enabled": True}
        shown = await admin.asked("PATCH", f"/{endpoint['id']}", json=body)
        assert (shown["enabled"], shown["disabled_reason"]) == (True, None)
        body = {"event_id": told.id}
        await admin.asked("POST", f"/{endpoint['id']}/replay", json=body)
        assert (await gone.heard(missed, COMPLETED)).body == told.body
        assert gone.types(upload) == [COMPLETED]


async def test_the_wish_to_wait_is_respected(admin: Administrator, sender: Sender) -> None:
    seconds = 6
    async with admin.receiving() as (receiver, _):
        receiver.answers.append(Answer(429, {"Retry-After": str(seconds)}))
        upload = await _sent(sender)
        await receiver.heard(upload, COMPLETED)
        # Its news makes the service look for whatever is due.
        await receiver.heard(await _sent(sender), COMPLETED)
        first, second = await receiver.tried(upload, COMPLETED, 2)
    assert (first.status, second.status) == (429, 204)
    assert second.at - first.at >= seconds


async def test_a_slow_receiver_holds_up_no_other(admin: Administrator, sender: Sender) -> None:
    async with admin.receiving() as (slow, _), admin.receiving() as (fast, _):
        ready = asyncio.Event()
        slow.answers.extend([Answer(after=ready)] * PER_ENDPOINT)
        sent = [await _sent(sender) for _ in range(2 * PER_ENDPOINT)]
        for upload in sent:
            await fast.heard(upload, COMPLETED)
        assert len(slow.attempts) <= PER_ENDPOINT
        ready.set()
        for upload in sent:
            await slow.heard(upload, COMPLETED)
        for receiver in (slow, fast):
            assert all(receiver.types(upload) == [COMPLETED] for upload in sent)


async def test_the_old_secret_signs_beside_the_new_one(
    admin: Administrator, sender: Sender
) -> None:
    async with admin.receiving() as (receiver, endpoint):
        secrets = [endpoint["secret"]]
        before = await receiver.heard(await _sent(sender), COMPLETED)
        for _ in range(2):
            rotated = await admin.asked("POST", f"/{endpoint['id']}/rotate")
            secrets.append(rotated["secret"])
            until = datetime.fromisoformat(rotated["previous_secret_until"])
            assert until > utc_now()
        after = await receiver.heard(await _sent(sender), COMPLETED)
    assert _signers(before, secrets) == [True, False, False]
    assert _signers(after, secrets) == [False, True, True]


def _signers(attempt: Attempt, secrets: list[str]) -> list[bool]:
    return [attempt.is_signed_with(secret) for secret in secrets]


async def test_a_replay_sends_the_same_message_again(admin: Administrator, sender: Sender) -> None:
    async with admin.receiving() as (receiver, endpoint):
        upload = await _sent(sender)
        first = await receiver.heard(upload, COMPLETED)
        await _settled(admin, endpoint, "delivered")
        body = {"event_id": first.id}
        replayed = await admin.asked("POST", f"/{endpoint['id']}/replay", json=body)
        assert replayed == {"replayed": 1}
        _, second = await receiver.tried(upload, COMPLETED, 2)
        second.verified(endpoint["secret"])
        assert (second.id, second.body) == (first.id, first.body)


async def test_a_test_message_is_one_that_verifies_and_leaves_nothing(
    telling: Stack, admin: Administrator
) -> None:
    async with admin.receiving(event_types=["upload.deleted"]) as (receiver, endpoint):
        rotated = await admin.asked("POST", f"/{endpoint['id']}/rotate")
        await admin.asked("PATCH", f"/{endpoint['id']}", json={"enabled": False})
        receiver.answers.append(Answer(410))
        answers = [await admin.asked("POST", f"/{endpoint['id']}/test") for _ in range(2)]
        code, output = await _cli(telling.service.environment, "test", endpoint["id"], "--json")
        assert code == 0, output
        answers.append(json.loads(output))
        assert [answer["event_id"] for answer in answers] == [one.id for one in receiver.attempts]
        assert [answer["status"] for answer in answers] == [410, 204, 204]
        assert [answer["delivered"] for answer in answers] == [False, True, True]
        for attempt in receiver.attempts:
            assert _signers(attempt, [endpoint["secret"], rotated["secret"]]) == [True, True]
            message = attempt.verified(rotated["secret"])
            assert (message["type"], message["data"]) == (
                "webhook.test",
                {"endpoint_id": endpoint["id"]},
            )
            assert attempt.headers["user-agent"].startswith("uploadgate/")
        assert await admin.deliveries(endpoint) == []
        shown = await admin.asked("GET", f"/{endpoint['id']}")
        assert shown["disabled_reason"] == "disabled by an administrator"


async def _cli(environment: dict[str, str], *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "webhook", *words),
        env={"PATH": os.environ["PATH"], **environment},
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_an_endpoint_that_was_added_on_the_command_line_hears(
    telling: Stack, admin: Administrator, sender: Sender
) -> None:
    environment = telling.service.environment
    async with Receiver.running() as receiver:
        code, output = await _cli(environment, "add", receiver.url, "--json")
        assert code == 0, output
        endpoint = json.loads(output)
        upload = await _sent(sender, metadata=METADATA)
        attempt = await receiver.heard(upload, COMPLETED)
        message = attempt.verified(endpoint["secret"])
        assert message["data"]["upload"]["metadata"] == METADATA

        words = (endpoint["id"], "--since", message["timestamp"], "--json")
        code, output = await _cli(environment, "replay", *words)
        assert code == 0, output
        assert json.loads(output) == {"replayed": 1}
        _, second = await receiver.tried(upload, COMPLETED, 2)
        assert second.id == attempt.id
    await admin.asked("DELETE", f"/{endpoint['id']}")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/hooks",
        "https://127.0.0.1/hooks",
        "https://localhost/hooks",
        "https://10.1.2.3/hooks",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/hooks",
        "https://[::ffff:127.0.0.1]/hooks",
        "https://2130706433/hooks",
        "https://user:word@example.com/hooks",
    ],
)
async def test_an_address_that_is_not_public_is_refused(stack: Stack, url: str) -> None:
    admin = Administrator(stack.api, await _of(stack).user(admin=True))
    problem(await admin.ask("POST", json={"url": url}), 422, "invalid_webhook_endpoint")
    assert (await admin.asked("GET"))["items"] == []


async def test_only_administrators_manage_endpoints(telling: Stack, sender: Sender) -> None:
    plain = Administrator(telling.api, sender.user)
    answer = await plain.ask("POST", json={"url": "https://app.example/hooks"})
    problem(answer, 403, "missing_scope")
    problem(await plain.ask("GET"), 403, "missing_scope")


async def test_an_address_that_is_no_longer_allowed_is_not_sent_to(
    stack: Stack, tmp_path: Path
) -> None:
    """The expiry of an upload is told first, and no more once the setting is narrower."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'records.db'}"
    brief = {**SETTINGS, "UPLOADGATE_UPLOADS__EXPIRES_SECONDS": "1"}
    async with AsyncExitStack() as life:
        receiver = await life.enter_async_context(Receiver.running())
        async with replica(stack, url, **brief) as shop, shop.sender() as sender:
            admin = Administrator(shop.api, await shop.user(admin=True))
            endpoint = await admin.add(receiver.url)
            upload = await sender.announce(SIZE)
            expired = await receiver.heard(upload, "upload.expired")
            expired.verified(endpoint["secret"])
            assert expired.upload["status_reason"] == "nothing arrived in time"
            attempts = len(receiver.attempts)

        narrower = {**brief, "UPLOADGATE_DELIVERY__ALLOWED_NETWORKS": '["127.0.0.2/32"]'}
        async with replica(stack, url, **narrower) as shop, shop.sender() as sender:
            admin = Administrator(shop.api, await shop.user(admin=True))
            await sender.announce(SIZE)

            async def tried() -> Any:
                delivery, *_ = await admin.deliveries(endpoint)
                return delivery if delivery["last_error"] else None

            refused = await eventually(tried, "it is refused")
            assert (refused["last_error"], refused["last_status"]) == ("forbidden_address", None)
            assert len(receiver.attempts) == attempts


async def test_what_happened_while_the_receiver_was_away_is_told_once_it_is_there(
    stack: Stack, tmp_path: Path
) -> None:
    database = f"sqlite+aiosqlite:///{tmp_path / 'records.db'}"
    # Longer than it takes an administrator to tell where the receiver is.
    patient = {**SETTINGS, "UPLOADGATE_DELIVERY__RETRY_SECONDS": json.dumps([1] * 50)}
    async with AsyncExitStack() as life:
        shop = await life.enter_async_context(replica(stack, database, **patient))
        sender = await life.enter_async_context(shop.sender())
        admin = Administrator(shop.api, await shop.user(admin=True))
        receiver, endpoint = await life.enter_async_context(admin.receiving())
        async with Receiver.running() as first:
            url = first.url
        changed = await admin.asked("PATCH", f"/{endpoint['id']}", json={"url": url})
        assert changed["url"] == url
        upload = await sender.completed(await _sent(sender))

        async def refused() -> Any:
            deliveries = await admin.deliveries(endpoint)
            return bool(deliveries) and deliveries[0]["last_error"]

        assert await eventually(refused, "nobody is there") == "refused"
        await admin.asked("PATCH", f"/{endpoint['id']}", json={"url": receiver.url})
        await receiver.heard(upload, COMPLETED)
