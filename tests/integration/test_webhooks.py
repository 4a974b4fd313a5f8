"""The store's word at the real doors: the application under uvicorn, in this process."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

import main
from aws.sns.fetcher import HttpxCertificateFetcher
from state.database import Database
from state.tables import inbox, uploads
from tests.integration import store
from tests.integration.stack import Stack, eventually, free_port, settings_from
from tests.unit.sns.sender import (
    CERT_URL,
    S3_RECORD,
    TOPIC,
    CountingFetcher,
    body,
    certificate,
    confirmation,
    notification,
    rsa_key,
    signed,
)

SNS = "/v1/webhooks/sns"


class Door:
    """The running application, what it fetched and what it wrote."""

    def __init__(self, api: httpx.AsyncClient, fetcher: CountingFetcher, url: str) -> None:
        self.api = api
        self.fetcher = fetcher
        self._database_url = url

    async def post(self, path: str, content: bytes, **headers: str) -> httpx.Response:
        return await self.api.post(path, content=content, headers=headers)

    async def of_sns(self, content: bytes, **headers: str) -> httpx.Response:
        return await self.post(SNS, content, **{"x-amz-sns-topic-arn": TOPIC, **headers})

    async def rows(self, table: Any) -> list[Any]:
        async with Database.opened(self._database_url) as database, database.transaction() as seen:
            return list((await seen.execute(table.select())).mappings())


@pytest.fixture
async def door(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Door]:
    now = datetime.now(UTC)
    fetcher = CountingFetcher(pem=certificate(rsa_key(), end=now + timedelta(days=30)))
    monkeypatch.setattr(HttpxCertificateFetcher, "fetch", lambda _self, url: fetcher.fetch(url))
    url = f"sqlite+aiosqlite:///{tmp_path / 'records.db'}"
    port = free_port()
    settings = settings_from(
        stack.service.environment
        | {
            "UPLOADGATE_DATABASE__URL": url,
            "UPLOADGATE_WEBHOOKS__SNS_TOPIC_ARNS": f'["{TOPIC}"]',
            "UPLOADGATE_COMPLETION__ABSENT_LOOKS": "1",
            "UPLOADGATE_HTTP__MAX_CONCURRENT_WEBHOOKS": "2",
            "UPLOADGATE_HTTP__MAX_WAITING": "0",
        }
    )
    config = uvicorn.Config(main.create_app(settings), port=port, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    # uvicorn would take the signals of the process, which are pytest's here.
    monkeypatch.setattr(server, "capture_signals", contextlib.nullcontext)
    serving = asyncio.create_task(server.serve())
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
    ) as api:

        async def ready() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return (await api.get("/readyz")).status_code == 200
            return False

        await eventually(ready, "ready")
        yield Door(api, fetcher, url)
    server.should_exit = True
    await serving


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _record(bucket: str, key: str, **more: object) -> dict[str, Any]:
    written = {"key": key, "size": 5, "eTag": "e1", "sequencer": "0055", **more}
    return {**S3_RECORD, "s3": {"bucket": {"name": bucket}, "object": written}}


def _message(*records: dict[str, Any]) -> str:
    return json.dumps({"Records": list(records)})


@pytest.mark.parametrize(
    "url",
    [
        CERT_URL.replace("us-east-1", "s3-us-west-2"),
        CERT_URL.replace("us-east-1", "eu-west-1"),
        CERT_URL.replace("https", "http"),
        CERT_URL.replace(".com/", ".com.evil.example/"),
        CERT_URL.replace("sns.", "user@sns."),
        CERT_URL.replace(".com/", ".com:8443/"),
        CERT_URL + "?x=1",
        "https://evil.example/x.pem",
    ],
)
async def test_a_forged_certificate_address_is_never_fetched(door: Door, url: str) -> None:
    forged = signed(notification(Timestamp=_now()), url=url)
    answer = await door.of_sns(body(forged))
    assert (answer.status_code, answer.json()["code"]) == (403, "webhook_forged")
    assert door.fetcher.urls == []
    assert await door.rows(inbox) == []


@pytest.mark.parametrize(
    "change", [{"TopicArn": TOPIC + "x"}, {"Timestamp": "2020-01-01T00:00:00.000Z"}]
)
async def test_a_foreign_topic_or_an_old_message_fetches_nothing(
    door: Door, change: dict[str, str]
) -> None:
    forged = signed(notification(**{"Timestamp": _now(), **change}))
    answer = await door.of_sns(body(forged))
    assert (answer.status_code, answer.json()["code"]) == (403, "webhook_forged")
    assert door.fetcher.urls == []


async def test_raw_delivery_is_refused_and_fetches_nothing(door: Door) -> None:
    answer = await door.of_sns(
        _message(_record("uploads", "a/b")).encode(),
        **{"x-amz-sns-rawdelivery": "true"},
    )
    assert answer.status_code == 403
    assert door.fetcher.urls == []


async def test_a_confirmation_of_a_foreign_topic_confirms_and_fetches_nothing(door: Door) -> None:
    forged = signed(confirmation(TopicArn=TOPIC + "x", Timestamp=_now()))
    answer = await door.of_sns(body(forged))
    assert answer.status_code == 403
    assert door.fetcher.urls == []


async def test_a_tampered_message_is_refused_and_nothing_is_written(door: Door) -> None:
    forged = signed(notification(Timestamp=_now())) | {"Message": _message(_record("uploads", "x"))}
    answer = await door.of_sns(body(forged))
    assert (answer.status_code, answer.json()["code"]) == (403, "webhook_forged")
    assert await door.rows(inbox) == []


async def test_a_signed_message_adopts_what_is_at_the_store_and_a_replay_changes_nothing(
    door: Door, stack: Stack
) -> None:
    user = await stack.user()
    keys = await store.credentials(stack, user)
    key = f"{keys['key_prefix']}sns.txt"
    await asyncio.to_thread(
        store.client(keys).put_object, Bucket=keys["bucket"], Key=key, Body=b"hello"
    )
    encoded = key.replace(":", "%3A")
    sent = signed(
        notification(Timestamp=_now(), Message=_message(_record(keys["bucket"], encoded))),
        version="2",
    )
    first = await door.of_sns(body(sent))
    again = await door.of_sns(body(sent))
    assert (first.json(), again.json()) == ({"accepted": 1}, {"accepted": 0})

    async def processed() -> bool:
        return all(row["done_at"] is not None for row in await door.rows(inbox))

    await eventually(processed, "processed")
    [event] = await door.rows(inbox)
    # The application of this test has its own database, where nobody is known by this identity.
    assert (event["key"], event["outcome"]) == (key, "unowned")
    assert door.fetcher.urls == [CERT_URL]
    assert await door.rows(uploads) == []


async def _dawdler(door: Door, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose request's body does not go on after its first byte."""
    reader, writer = await asyncio.open_connection(door.api.base_url.host, door.api.base_url.port)
    writer.write(f"POST {SNS} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 500\r\n\r\n{{".encode())
    await writer.drain()
    return reader, writer


async def test_strangers_who_dawdle_are_told_at_once_or_hold_nobody_up(
    door: Door, stack: Stack
) -> None:
    """More of them than there are places, and nobody may wait for one here."""
    async with asyncio.timeout(120), contextlib.AsyncExitStack() as connections:
        for head, status in [("", b"503"), ("x-amz-sns-topic-arn: another\r\n", b"403")] * 2:
            reader, writer = await _dawdler(door, head)
            connections.callback(writer.close)
            assert (await reader.readline()).split()[1] == status
        for _ in range(8):
            _, writer = await _dawdler(door, f"x-amz-sns-topic-arn: {TOPIC}\r\n")
            connections.callback(writer.close)
        sent = body(signed(notification(Timestamp=_now())))
        assert (await door.of_sns(sent)).status_code == 200
        token = {"authorization": f"Bearer {stack.cloud.webhook_token}"}
        assert (await door.post("/v1/webhooks/seaweedfs", b"{}", **token)).status_code == 400


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic wrong", "Bearer"])
async def test_the_filers_door_refuses_whoever_lacks_the_token(door: Door, header: str) -> None:
    sent = {"authorization": header} if header else {}
    answer = await door.post("/v1/webhooks/seaweedfs", b"{}", **sent)
    assert (answer.status_code, answer.json()["code"]) == (403, "webhook_forged")
    assert answer.headers["content-type"] == "application/problem+json"
    assert await door.rows(inbox) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 1}', b"\xff\xfe", b'{"a":' * 9999])
async def test_garbage_with_the_right_token_is_malformed(
    door: Door, stack: Stack, content: bytes
) -> None:
    token = {"authorization": f"Bearer {stack.cloud.webhook_token}"}
    answer = await door.post("/v1/webhooks/seaweedfs", content, **token)
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_malformed")
    assert await door.rows(inbox) == []


async def test_a_forged_event_with_the_right_token_completes_nothing(
    door: Door, stack: Stack
) -> None:
    """Whoever holds the token can claim anything; the store is asked, and has nothing."""
    token = {"authorization": f"Bearer {stack.cloud.webhook_token}"}
    event = (
        b'{"event_type":"create","key":"/buckets/uploads/us-east-1:abc/x.txt","message":'
        b'{"new_entry":{"name":"x.txt","attributes":{"file_size":5,"mtime":1,"md5":"AAAA"}},'
        b'"new_parent_path":"/buckets/uploads/us-east-1:abc"}}'
    )
    answer = await door.post("/v1/webhooks/seaweedfs", event, **token)
    assert answer.status_code == 200, answer.text

    async def processed() -> list[Any]:
        return [row["outcome"] for row in await door.rows(inbox) if row["done_at"] is not None]

    assert await eventually(processed, "processed") == ["absent"]
    assert await door.rows(uploads) == []
