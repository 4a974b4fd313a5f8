"""The stub Cognito, as the service's own adapter sees it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from aws.clients import AwsAccess, opened
from aws.cognito import CognitoIdentityPool
from benchmarks.cognito_stub import POOL, CognitoStub, identity_of
from errors import CognitoThrottledError, CognitoUnavailableError
from tests.fakes.aws_environment import without_ambient_aws
from tests.fakes.eventually import eventually


@pytest.fixture(autouse=True)
def _hermetic(monkeypatch: pytest.MonkeyPatch) -> None:
    without_ambient_aws(monkeypatch)


@asynccontextmanager
async def pool_at(stub: CognitoStub) -> AsyncIterator[CognitoIdentityPool]:
    access = AwsAccess(
        region="us-east-1",
        access_key_id="AKIAEXAMPLE",
        secret_access_key="secret",
        cognito_endpoint=stub.url,
        max_attempts=1,
    )
    async with opened(access) as clients:
        yield CognitoIdentityPool(
            client=clients.cognito,
            public_client=clients.cognito_public,
            pool_id=POOL,
            developer_provider_name="login.uploadgate",
            call_seconds=10,
        )


async def test_a_user_has_one_identity_and_a_new_token_each_time() -> None:
    async with CognitoStub.running() as stub, pool_at(stub) as pool:
        first = await pool.open_id_token("usr_1", seconds=900)
        second = await pool.open_id_token("usr_1", seconds=900)
        keys = await pool.credentials(first)
    assert first.identity_id == second.identity_id == identity_of("usr_1")
    assert first.token != second.token
    assert len(first.token) > 1000
    assert keys.session_token
    assert stub.calls.per_user == {"usr_1": 2}
    assert stub.exchanges.total == 1


async def test_beyond_its_cap_it_refuses_as_cognito_does() -> None:
    async with CognitoStub.running(cap=1) as stub, pool_at(stub) as pool:
        await pool.open_id_token("usr_1", seconds=900)
        with pytest.raises(CognitoThrottledError):
            await pool.open_id_token("usr_2", seconds=900)
    assert stub.calls.violations == 1


async def test_while_it_hangs_calls_come_and_nobody_is_answered() -> None:
    async with CognitoStub.running() as stub, pool_at(stub) as pool:
        stub.hang = True
        call = asyncio.create_task(pool.open_id_token("usr_1", seconds=900))
        await eventually(lambda: stub.calls.total == 1)
        stub.hang = False
        await pool.open_id_token("usr_2", seconds=900)
        assert not call.done()
        call.cancel()
        await asyncio.wait([call])


async def test_it_fails_as_it_is_told() -> None:
    async with CognitoStub.running() as stub, pool_at(stub) as pool:
        stub.fail = "InternalErrorException"
        with pytest.raises(CognitoUnavailableError):
            await pool.open_id_token("usr_1", seconds=900)


async def test_another_process_changes_it_and_reads_its_counts() -> None:
    async with CognitoStub.running() as stub, pool_at(stub) as pool:
        await pool.open_id_token("usr_1", seconds=900)
        async with httpx.AsyncClient(base_url=stub.url, trust_env=False) as client:
            assert (await client.get("/_counts")).json()["calls"] == 1
            await client.post("/_control", json={"latency_ms": 200, "cap": 50, "reset": True})
            assert (await client.get("/_counts")).json()["calls"] == 0
    assert (stub.latency, stub.cap, stub.hang) == (0.2, 50, False)
