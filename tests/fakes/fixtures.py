"""Fixtures around the whole service, for the conftests that want them."""

from collections.abc import AsyncIterator, Iterator
from io import StringIO

import httpx
import pytest

from service.grants.grants import Grants
from tests.fakes.house import House, aws, captured_logs, opened_house

__all__ = ["caller", "house", "untouched", "written"]


@pytest.fixture(scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with opened_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


@pytest.fixture
def written() -> Iterator[StringIO]:
    """All that is logged while a test runs."""
    with captured_logs() as written:
        yield written


async def forget(grants: Grants) -> None:
    """What the tests before have left: tokens, flights, trouble."""
    room = grants._room
    assert room is not None
    await room.tokens.aclose()
    room.tokens._kept._values.clear()
    for calls in (room.calls, room.exchanges):
        calls.breaker.succeeded(calls.breaker._era)
    room.tokens._conflicts._values.clear()


@pytest.fixture
async def caller(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Logged in, and with an AWS that is well."""
    house.stub.answer = aws
    house.stub.script.clear()
    house.stub.requests.clear()
    await forget(house.services.grants)
    async with house.client() as client:
        client.headers["Authorization"] = f"Bearer {house.token}"
        yield client


@pytest.fixture
async def untouched(house: House, written: StringIO) -> AsyncIterator[None]:
    """Nothing is in the database that was not there before, and no secret in the log."""
    before = house.rows()
    yield
    assert house.rows() == before
    log = written.getvalue()
    assert '"event": "request"' in log
    assert [secret for secret in house.secrets if secret in log] == []
