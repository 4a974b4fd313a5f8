"""One user, one identity: kept, whoever calls at the same time."""

import asyncio
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.cognito.errors import (
    DeveloperUserAlreadyRegisteredException,
    ResourceNotFoundException,
)
from localcloud.cognito.identities import Identities

PROVIDER = "login.app"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "identities.sqlite3"


@pytest.fixture
def identities(file: Path) -> Iterator[Identities]:
    opened = Identities(file, "us-east-1")
    yield opened
    opened.close()


async def test_a_user_keeps_the_identity(identities: Identities, file: Path) -> None:
    first = await identities.of_user(PROVIDER, "user-1")
    assert await identities.of_user(PROVIDER, "user-1") == first
    assert await identities.of_user(PROVIDER, "user-2") != first
    assert await identities.of_user("another.provider", "user-1") != first
    again = Identities(file, "us-east-1")
    try:
        assert await again.of_user(PROVIDER, "user-1") == first
        assert again.find(first) == first
    finally:
        again.close()


async def test_of_many_first_calls_one_makes_the_identity(identities: Identities) -> None:
    made = await asyncio.gather(*(identities.of_user(PROVIDER, "user-1") for _ in range(50)))
    assert len(set(made)) == 1


async def test_a_caller_that_gives_up_breaks_nothing(identities: Identities) -> None:
    impatient = asyncio.create_task(identities.of_user(PROVIDER, "user-1"))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await identities.of_user(PROVIDER, "user-1")


@pytest.mark.parametrize("user", ["*", "?", "../u", "${jwt:sub}", "a/b", "é" * 400])
async def test_no_user_id_gets_into_a_subject(identities: Identities, user: str) -> None:
    identity = await identities.of_user(PROVIDER, user)
    assert re.fullmatch(r"us-east-1:[0-9a-f-]{36}", identity)


async def test_an_unknown_identity_is_not_found(identities: Identities) -> None:
    stranger = "us-east-1:aaaaaaaa-0000-0000-0000-000000000000"
    with pytest.raises(ResourceNotFoundException, match=f"Identity '{stranger}' not found."):
        identities.find(stranger)
    with pytest.raises(ResourceNotFoundException):
        await identities.of_user(PROVIDER, "user-1", stranger)


async def test_a_new_user_is_linked_to_the_identity_asked_for(identities: Identities) -> None:
    first = await identities.of_user(PROVIDER, "user-1")
    assert await identities.of_user(PROVIDER, "user-1", first) == first
    assert await identities.of_user(PROVIDER, "user-2", first) == first
    assert await identities.of_user(PROVIDER, "user-2") == first


async def test_a_user_of_another_identity_is_a_conflict(identities: Identities) -> None:
    first = await identities.of_user(PROVIDER, "user-1")
    await identities.of_user(PROVIDER, "user-2")
    with pytest.raises(DeveloperUserAlreadyRegisteredException):
        await identities.of_user(PROVIDER, "user-2", first)


def test_the_file_is_the_owners(identities: Identities, file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
