"""Three replicas behind a load balancer without affinity are one service: tokens, calls to Cognito,
its quota and the ends of logins are theirs together.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from benchmarks.cognito_stub import identity_of
from cli.users import ensure_user
from tests.integration.fleet import REPLICAS, Fleet, Newcomer, at_once
from tests.integration.stack import eventually, settings_from

CAP = 50
CROWD = 300
SETTINGS = {
    # 20 calls a second: together the replicas are far below the cap even where calls that were
    # apart arrive together, and each on its own, without the others, they would be above it.
    "UPLOADGATE_COGNITO__CALLS_PER_SECOND": "25",
    "UPLOADGATE_COGNITO__WAIT_SECONDS": "4",
    "UPLOADGATE_COGNITO__CALL_TIMEOUT_SECONDS": "6",
    "UPLOADGATE_REDIS__TIMEOUT_SECONDS": "3",
    "UPLOADGATE_COGNITO__BREAKER_SECONDS": "0.5",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ships(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with Fleet.running(tmp_path_factory.mktemp("fleet"), SETTINGS) as running:
        yield running


async def _ask(
    api: httpx.AsyncClient, user: Newcomer, mode: str = "auto", at: str = ""
) -> httpx.Response:
    return await api.post(f"{at}/v1/credentials", headers=user.headers, json={"mode": mode})


async def _grants(asked: Iterable[Any]) -> list[Any]:
    """The answers' bodies. All must be grants."""
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}, answers
    return [answer.json() for answer in answers]


def _tokens(grants: Iterable[Any]) -> set[str]:
    return {grant["open_id_token"] for grant in grants}


async def test_whichever_replica_is_asked_a_user_has_one_token(ships: Fleet) -> None:
    user = ships.newcomer()
    first = await _grants([_ask(ships.api, user)])
    urls = [replica.url for replica in ships.replicas] * 2
    grants = await _grants(_ask(ships.api, user, at=url) for url in urls)
    assert len(_tokens(first + grants)) == 1
    assert {grant["identity_id"] for grant in grants} == {identity_of(user.id)}
    assert ships.cognito.calls.per_user[user.id] == 1


async def test_the_balancer_sends_a_user_to_all_replicas(ships: Fleet) -> None:
    user = ships.newcomer()
    grants = [
        grant for _ in range(2 * REPLICAS) for grant in await _grants([_ask(ships.api, user)])
    ]
    assert len(_tokens(grants)) == 1

    async def all_served() -> bool:
        log = ships.balancer.log.read_text()
        return all(f"replicas/replica{number} " in log for number in range(REPLICAS))

    await eventually(all_served, "each has served")
    assert ships.cognito.calls.per_user[user.id] == 1


async def test_who_asks_many_times_at_once_is_asked_for_once(ships: Fleet) -> None:
    user = ships.newcomer()
    with _slow(ships, 0.3):
        grants = await _grants(_ask(ships.api, user) for _ in range(30))
    assert len(_tokens(grants)) == 1
    assert ships.cognito.calls.per_user[user.id] == 1


async def test_a_crowd_never_takes_more_than_the_quota(ships: Fleet) -> None:
    """Who gets no token is told why and what to do, and nothing else goes wrong."""
    with _counted(ships, CAP):
        users = [ships.newcomer() for _ in range(CROWD)]
        modes = ["auto", "cognito"] * (CROWD // 2)
        answers = await at_once(ships.balancer.port, users, modes)
        got: Counter[str] = Counter()
        for mode, answer in zip(modes, answers, strict=True):
            got[_kind(mode, answer)] += 1
        assert got["cognito"] > 0
        assert got["presigned"] > 0
        assert got["refused"] > 0


def _kind(mode: str, answer: httpx.Response) -> str:
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        assert (mode, answer.json()["code"]) == ("cognito", "cognito_throttled"), answer.text
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["RateLimit"]
        assert answer.headers["RateLimit-Policy"]
        return "refused"
    assert answer.status_code == httpx.codes.OK, answer.text
    grant = answer.json()
    if grant["mode"] == "presigned":
        assert (mode, grant["reason"]) == ("auto", "cognito_throttled")
    return str(grant["mode"])


@contextmanager
def _counted(ships: Fleet, cap: int) -> Iterator[None]:
    """The upstream saw no more than the cap in any second, and each user once at most."""
    ships.cognito.reset()
    ships.cognito.cap = cap
    try:
        yield
    finally:
        ships.cognito.cap = None
    told = ships.cognito.told()
    assert told["violations"] == 0, told
    assert told["highest"] <= cap, told
    assert told["per_user_max"] == 1, told


@contextmanager
def _slow(ships: Fleet, seconds: float) -> Iterator[None]:
    ships.cognito.latency = seconds
    try:
        yield
    finally:
        ships.cognito.latency = 0


async def test_nobody_waits_for_a_cognito_that_hangs_and_all_have_it_again_afterwards(
    ships: Fleet,
) -> None:
    ships.cognito.hang = True
    try:

        async def left_alone() -> bool:
            before = ships.cognito.calls.total
            grants = await _grants(_ask(ships.api, ships.newcomer()) for _ in range(15))
            told = {(grant["mode"], grant.get("reason")) for grant in grants}
            assert told == {("presigned", "cognito_unavailable")}
            return ships.cognito.calls.total == before

        await eventually(left_alone, "nobody is asked for")
    finally:
        ships.cognito.hang = False

    async def all_have_it() -> bool:
        urls = [replica.url for replica in ships.replicas]
        grants = await _grants(_ask(ships.api, ships.newcomer(), at=url) for url in urls)
        return {grant["mode"] for grant in grants} == {"cognito"}

    await eventually(all_have_it, "each replica asks Cognito again")


async def test_nothing_in_redis_can_be_read(ships: Fleet) -> None:
    users = [ships.newcomer() for _ in range(5)]
    grants = await _grants(_ask(ships.api, user) for user in users)
    kept = await _everything(ships)
    for user, grant in zip(users, grants, strict=True):
        assert any(user.id.encode() in name for name in kept)
        secret = [grant["open_id_token"], grant["identity_id"], identity_of(user.id)]
        secret += grant["open_id_token"].split(".")[1:]
        for word in secret:
            assert not any(word.encode() in value for value in kept.values())
            assert not any(word.encode() in name for name in kept)


async def _everything(ships: Fleet) -> dict[bytes, bytes]:
    """All keys, with all that is under them."""
    found: dict[bytes, bytes] = {}
    async with Redis.from_url(ships.redis.url, protocol=2) as redis:
        reads: dict[Any, Any] = {b"string": redis.get, b"hash": redis.hgetall}
        async for name in redis.scan_iter(count=1000):
            kind = await redis.type(name)
            if kind != b"none":  # gone meanwhile
                found[name] = repr(await reads[kind](name)).encode()
    return found


async def test_a_logout_at_one_replica_ends_the_access_token_at_all(ships: Fleet) -> None:
    name, password = f"user-{secrets.token_hex(6)}", secrets.token_urlsafe(16)
    await ensure_user(settings_from(ships.replicas[0].environment), name, password)
    one, other, third = (replica.url for replica in ships.replicas)
    body = {"username": name, "password": password}
    pair = (await ships.api.post(f"{one}/v1/auth/login", json=body)).json()
    headers = {"Authorization": f"Bearer {pair['access_token']}"}

    async def statuses() -> set[int]:
        asked = (ships.api.get(f"{url}/v1/auth/me", headers=headers) for url in (one, other, third))
        return {answer.status_code for answer in await asyncio.gather(*asked)}

    assert await statuses() == {200}
    refresh = {"refresh_token": pair["refresh_token"]}
    ended = await ships.api.post(f"{other}/v1/auth/logout", json=refresh)
    assert ended.is_success

    async def ended_everywhere() -> bool:
        return await statuses() == {401}

    await eventually(ended_everywhere, "no replica takes the token")


async def test_without_redis_grants_and_the_quota_go_on_and_with_it_tokens_are_shared_again(
    ships: Fleet,
) -> None:
    ships.redis.stop()
    try:
        with _counted(ships, CAP):
            users = [ships.newcomer() for _ in range(CROWD // 2)]
            answers = await at_once(ships.balancer.port, users, ["auto"] * len(users))
            got = Counter(_kind("auto", answer) for answer in answers)
            assert got.keys() == {"cognito", "presigned"}
    finally:
        ships.redis.start()

    async def shared_again() -> bool:
        user = ships.newcomer()
        urls = [replica.url for replica in ships.replicas]
        for url in urls:
            await _grants([_ask(ships.api, user, at=url)])
        return ships.cognito.calls.per_user[user.id] == 1

    await eventually(shared_again, "tokens are shared")
