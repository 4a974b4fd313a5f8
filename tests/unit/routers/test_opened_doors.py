"""The doors for the store's word are those that the settings name, and believe what these say."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aws.sns.fetcher import HttpxCertificateFetcher
from errors import WebhookForgedError, WebhookUnverifiableError
from service.clock import utc_now
from tests.fakes.house import settings
from tests.unit.sns import sender
from tests.unit.sources.test_eventbridge import CREATED
from tests.unit.sources.test_seaweedfs import EVENTS
from wiring.doors import opened_doors

TOPICS = [sender.TOPIC, sender.CHINA_TOPIC]
ADDRESSES = {sender.TOPIC: sender.CERT_URL, sender.CHINA_TOPIC: sender.CHINA_CERT_URL}


def opened(folder: Path, **webhooks: Any) -> Any:
    clients: Any = SimpleNamespace(sns=None)
    given = settings(folder, "http://127.0.0.1:9", webhooks={"seaweedfs_tokens": [], **webhooks})
    return opened_doors(given, clients)


def message(topic: str = sender.TOPIC, *, version: str = "1", hours: float = 0) -> bytes:
    """Sent so long ago."""
    sent = f"{utc_now() - timedelta(hours=hours):%Y-%m-%dT%H:%M:%S}.000Z"
    fields = sender.notification(TopicArn=topic, Timestamp=sent)
    return sender.body(sender.signed(fields, version=version, url=ADDRESSES[topic]))


async def test_a_source_that_is_not_configured_has_none(tmp_path: Path) -> None:
    async with opened(tmp_path) as doors:
        assert (doors.sns, doors.eventbridge, doors.seaweedfs) == (None, None, None)


async def test_every_key_of_eventbridge_is_good_in_the_header_that_was_named(
    tmp_path: Path,
) -> None:
    named = {"eventbridge_keys": ["old", "new"], "eventbridge_header": "X-Other"}
    async with opened(tmp_path, **named) as doors:
        for key in ("old", "new"):
            found = await doors.eventbridge.receive(json.dumps(CREATED).encode(), {"x-other": key})
            assert len(found) == 1
        with pytest.raises(WebhookForgedError):
            doors.eventbridge.admit({"x-api-key": "new"})


async def test_every_token_of_the_filer_is_good_for_the_bucket_of_the_store(
    tmp_path: Path,
) -> None:
    body = json.dumps(EVENTS["put"]).replace("/buckets/uploads/", "/buckets/shop/").encode()
    given = settings(
        tmp_path,
        "http://127.0.0.1:9",
        webhooks={"seaweedfs_tokens": ["old", "new"]},
        store={"bucket": "shop"},
    )
    clients: Any = None
    async with opened_doors(given, clients) as doors:
        assert doors.seaweedfs is not None
        for token in ("old", "new"):
            headers = {"authorization": f"Bearer {token}"}
            (found,) = await doors.seaweedfs.receive(body, headers)
            assert found.bucket == "shop"


@pytest.mark.parametrize("topic", TOPICS)
async def test_every_topic_is_listened_to_and_version_2_alone_where_that_is_said(
    tmp_path: Path, topic: str
) -> None:
    async with opened(tmp_path, sns_topic_arns=TOPICS, sns_sha256_only=True) as doors:
        with pytest.raises(WebhookForgedError, match="not signed in a way"):
            await doors.sns.receive(message(topic), {})


@pytest.mark.parametrize(("hours", "why"), [(2.5, "cannot be had"), (3.5, "too old")])
async def test_messages_of_sns_may_be_as_old_as_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: float, why: str
) -> None:
    async def away(_fetcher: HttpxCertificateFetcher, _url: str) -> bytes:
        raise WebhookUnverifiableError("cannot be had")

    monkeypatch.setattr(HttpxCertificateFetcher, "fetch", away)
    async with opened(tmp_path, sns_topic_arns=TOPICS, sns_max_age_seconds=10_800) as doors:
        with pytest.raises(WebhookUnverifiableError, match=why):
            await doors.sns.receive(message(hours=hours), {})


async def test_certificates_are_fetched_no_longer_once_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def never(_fetcher: HttpxCertificateFetcher, _url: str) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(HttpxCertificateFetcher, "fetch", never)
    async with opened(tmp_path, sns_topic_arns=TOPICS) as doors:
        receiving = asyncio.create_task(doors.sns.receive(message(), {}))
        await asked.wait()
    await asyncio.wait([receiving], timeout=60)
    assert receiving.cancelled()
