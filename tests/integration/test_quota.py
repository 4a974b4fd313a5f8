"""The quota is exact, whoever dies when."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.uploads.quota import Usage
from tests.fakes.postgres import postgres_database, running_postgres
from tests.integration.replica import Replica, replica
from tests.integration.stack import Stack, User, eventually

MIB = 1024 * 1024
ANNOUNCED = 200
FIT = 90
SIZE = 9 * MIB  # in two parts: each creation also makes a multipart at the store
PROFILES = {"capped": {"quota": FIT * SIZE + 1}}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Path]:
    with running_postgres() as socket:
        yield socket


@pytest.fixture(params=["sqlite", "postgres"])
async def capped(
    stack: Stack, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Replica]:
    settings = {
        "UPLOADGATE_UPLOADS__PROFILES": json.dumps(PROFILES),
        "UPLOADGATE_UPLOADS__IDEMPOTENCY_LEASE_SECONDS": "1",
        "UPLOADGATE_HTTP__MAX_CONCURRENT": "100",
    }
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'records.db'}"
        async with replica(stack, url, **settings) as running:
            yield running
        return
    async with (
        postgres_database(request.getfixturevalue("postgres")) as url,
        replica(stack, url, **settings) as running,
    ):
        yield running


async def _create(capped: Replica, user: User, number: int) -> httpx.Response:
    return await capped.api.post(
        "/v1/uploads",
        headers=user.headers | {"Idempotency-Key": f"n-{number}"},
        json={"filename": f"{number}.bin", "size": SIZE, "profile": "capped"},
    )


async def _answer(capped: Replica, user: User, number: int) -> dict[str, Any]:
    """Sent again for as long as it is told to wait."""

    async def final() -> dict[str, Any] | None:
        answer = await _create(capped, user, number)
        body: dict[str, Any] = answer.json()
        return None if body.get("retry_mode") == "wait" else body

    found: dict[str, Any] = await eventually(final, f"upload {number} is decided")
    return found


async def _killed_among_creations(capped: Replica, user: User) -> int:
    """How many had been made when the service died."""
    answered = 0
    enough = asyncio.Event()

    async def one(number: int) -> None:
        nonlocal answered
        try:
            answer = await _create(capped, user, number)
        except httpx.TransportError:
            return
        answered += answer.is_success  # and none of those that found no room any more
        if answered == FIT // 3:
            enough.set()

    sending = [asyncio.create_task(one(number)) for number in range(ANNOUNCED)]
    await enough.wait()
    await capped.kill()
    await asyncio.gather(*sending)
    return answered


async def test_the_quota_is_exact_after_200_concurrent_creations_with_a_kill_in_between(
    capped: Replica,
) -> None:
    user = await capped.user()
    answered = await _killed_among_creations(capped, user)
    assert answered < ANNOUNCED
    await capped.service.start()

    kept, real = await capped.counted(user, "capped")
    assert kept == real
    assert answered <= kept.in_flight <= FIT

    answers = await asyncio.gather(*(_answer(capped, user, n) for n in range(ANNOUNCED)))
    found = Counter(answer.get("code", answer.get("status")) for answer in answers)
    assert found == {"pending": FIT, "quota_exceeded": ANNOUNCED - FIT}
    assert await capped.counted(user, "capped") == (Usage(FIT * SIZE, FIT),) * 2

    made = {answer["id"] for answer in answers if "id" in answer}
    assert len(made) == FIT
    deleted = await asyncio.gather(
        *(capped.api.delete(f"/v1/uploads/{each}", headers=user.headers) for each in made)
    )
    assert {answer.json()["status"] for answer in deleted} == {"aborted"}
    assert await capped.counted(user, "capped") == (Usage(0, 0),) * 2
