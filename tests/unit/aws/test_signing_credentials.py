"""Keys that are renewed underneath: botocore's own objects, renewed by hand."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aioboto3
import pytest
from aiobotocore.credentials import (
    AioCredentials,
    AioDeferredRefreshableCredentials,
    AioRefreshableCredentials,
)
from botocore.exceptions import CredentialRetrievalError, NoCredentialsError

from aws.clients import AwsAccess, opened
from aws.signer.credentials import SessionCredentials
from aws.signer.presigner import Presigner
from errors import StoreRefusedError, StoreUnavailableError
from service.uploads.signed import PartTerms
from tests.fakes.clock import Clock

HOURS = timedelta(hours=6)


class Role:
    """A task role's metadata service: its n-th keys end six hours after they were given."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.given = 0
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None
        self.held = AioRefreshableCredentials(
            **self._keys(), refresh_using=self, method="test", time_fetcher=clock
        )

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        keys = self._keys()
        return keys | {"expiry_time": keys["expiry_time"].isoformat()}

    def _keys(self) -> dict[str, Any]:
        self.given += 1
        return {
            "access_key": f"ASIA{self.given}",
            "secret_key": f"secret-{self.given}",
            "token": f"token-{self.given}",
            "expiry_time": self.clock() + HOURS,
        }


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def role(clock: Clock) -> Role:
    return Role(clock)


@pytest.fixture
async def source(role: Role, clock: Clock) -> AsyncIterator[SessionCredentials]:
    made = SessionCredentials(role.held, seconds=5, clock=clock)
    yield made
    await made.aclose()


def _left(clock: Clock, seconds: float) -> None:
    """The first keys have so long to live."""
    clock.advance(HOURS.total_seconds() - seconds)


async def test_a_long_lived_key_has_no_end() -> None:
    found = await SessionCredentials(AioCredentials("AKIA", "secret"), seconds=1)()
    assert (found.access_key_id, found.secret_access_key) == ("AKIA", "secret")
    assert (found.session_token, found.expires_at) == (None, None)


async def test_without_credentials_nothing_is_signed() -> None:
    with pytest.raises(StoreRefusedError):
        await SessionCredentials(None, seconds=1)()


async def test_keys_of_a_role_come_with_their_end(source: SessionCredentials, clock: Clock) -> None:
    found = await source()
    assert (found.access_key_id, found.session_token) == ("ASIA1", "token-1")
    assert found.expires_at == clock() + HOURS


async def test_keys_due_for_renewal_sign_on_while_it_runs(
    source: SessionCredentials, role: Role, clock: Clock
) -> None:
    role.open.clear()
    _left(clock, 700)
    calls = [await source() for _ in range(20)]
    await asyncio.sleep(0)
    assert {found.access_key_id for found in calls} == {"ASIA1"}
    assert role.asked == 1
    role.open.set()
    await _renewed(source)
    assert (await source()).access_key_id == "ASIA2"
    assert role.asked == 1


async def _renewed(source: SessionCredentials) -> None:
    assert source._renewal is not None
    await asyncio.wait({source._renewal})


async def test_at_the_end_every_call_waits_for_one_renewal(
    source: SessionCredentials, role: Role, clock: Clock
) -> None:
    role.open.clear()
    _left(clock, 5)
    calls = [asyncio.create_task(source()) for _ in range(20)]
    await asyncio.sleep(0)
    assert not any(call.done() for call in calls)
    role.open.set()
    assert {found.access_key_id for found in await asyncio.gather(*calls)} == {"ASIA2"}
    assert role.asked == 1


async def test_a_caller_who_leaves_does_not_end_the_renewal_for_others(
    source: SessionCredentials, role: Role, clock: Clock
) -> None:
    role.open.clear()
    _left(clock, 5)
    first, second = asyncio.create_task(source()), asyncio.create_task(source())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    role.open.set()
    assert (await second).access_key_id == "ASIA2"
    assert role.asked == 1


async def test_a_renewal_that_fails_stops_nothing_until_the_last_minute(
    source: SessionCredentials, role: Role, clock: Clock
) -> None:
    role.failure = CredentialRetrievalError(provider="test", error_msg="down")
    _left(clock, 61)  # botocore's own presigning fails here, 9 minutes ago
    assert (await source()).access_key_id == "ASIA1"
    await _renewed(source)
    assert (await source()).access_key_id == "ASIA1"
    assert role.asked == 1, "attempts in the background leave a pause"
    clock.advance(2)
    with pytest.raises(StoreUnavailableError) as refused:
        await source()
    assert refused.value.retry_after
    role.failure = None
    assert (await source()).access_key_id == "ASIA2", "the next call tries again"


async def test_a_metadata_service_that_hangs_holds_a_call_for_a_bounded_time(
    role: Role, clock: Clock
) -> None:
    source = SessionCredentials(role.held, seconds=0.05, clock=clock)
    role.open.clear()
    _left(clock, 5)
    async with asyncio.timeout(60):
        with pytest.raises(StoreUnavailableError):
            await source()
    await _renewed(source)
    role.open.set()
    assert (await source()).access_key_id == "ASIA2"


async def test_a_role_without_keys_underneath_is_refused(
    source: SessionCredentials, role: Role, clock: Clock
) -> None:
    role.failure = NoCredentialsError()
    _left(clock, 5)
    with pytest.raises(StoreRefusedError):
        await source()


async def test_new_keys_that_have_ended_already_sign_nothing(
    source: SessionCredentials, role: Role, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.HOURS", timedelta(seconds=-1))
    clock.advance(6 * 3600)
    with pytest.raises(StoreUnavailableError):
        await source()


async def test_a_role_assumed_at_its_first_use_is_waited_for(role: Role, clock: Clock) -> None:
    held = AioDeferredRefreshableCredentials(role, "test", time_fetcher=clock)
    source = SessionCredentials(held, seconds=5, clock=clock)
    assert (await source()).access_key_id == "ASIA2"
    assert role.asked == 1


async def test_closing_ends_a_renewal_under_way(
    source: SessionCredentials, role: Role, clock: Clock
) -> None:
    role.open.clear()
    _left(clock, 700)
    await source()
    await source.aclose()
    assert source._renewal is not None
    assert source._renewal.cancelled()


async def test_urls_follow_the_renewed_keys(
    source: SessionCredentials, role: Role, clock: Clock
) -> None:
    ours = Presigner(credentials=source, region="eu-west-1", endpoint=None, clock=clock)

    async def signed() -> tuple[str, str, datetime]:
        (found,) = await ours.parts("bucket", "k", "m", [PartTerms(1)], seconds=3600)
        query = parse_qs(urlsplit(found.url).query)
        return query["X-Amz-Security-Token"][0], query["X-Amz-Expires"][0], found.expires_at

    assert await signed() == ("token-1", "3600", clock() + timedelta(hours=1))
    _left(clock, 700)
    assert await signed() == ("token-1", "700", clock() + timedelta(seconds=700))
    await _renewed(source)
    assert await signed() == ("token-2", "3600", clock() + timedelta(hours=1))


async def test_secrets_are_in_no_log_and_no_repr(
    source: SessionCredentials, role: Role, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = repr(await source()) + repr(source)
    role.failure = CredentialRetrievalError(provider="test", error_msg="down")
    _left(clock, 5)
    with pytest.raises(StoreUnavailableError) as refused:
        await source()
    shown += caplog.text + str(refused.value)
    assert "secret-" not in shown
    assert "token-" not in shown


async def test_the_session_s_own_keys_are_found() -> None:
    session = aioboto3.Session(aws_access_key_id="AKIA", aws_secret_access_key="secret")
    found = await (await SessionCredentials.of(session, seconds=1))()
    assert found.access_key_id == "AKIA"


async def test_the_clients_share_their_credentials_with_the_signer() -> None:
    access = AwsAccess(region="us-east-1", access_key_id="AKIA", secret_access_key="secret")
    async with opened(access) as clients:
        assert (await clients.credentials()).access_key_id == "AKIA"
