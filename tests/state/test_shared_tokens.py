"""What replicas share of users' tokens, on a real Redis or Valkey."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from errors import UnavailableError
from service.grants.model import KeptToken, OpenIdToken
from service.grants.ports import Claim, SharedTokens
from state.redis_clients import opened_client
from state.sealing import Seal
from state.shared_tokens import RedisSharedTokens
from tests.fakes.eventually import eventually
from tests.fakes.redis_server import RedisServer, running_redis

POOL = "us-east-1:0-a"
ADA, EVE = "usr_ada", "usr_eve"
TOKEN_KEY, CLAIM_KEY = f"test:grant:{{{POOL}:{ADA}}}", f"test:claim:{{{POOL}:{ADA}}}"
KEY, NEXT_KEY = "k" * 32, "n" * 32
START = datetime(2100, 1, 1, microsecond=123_457, tzinfo=UTC)  # the server's clock is real


def kept(word: str = "token", *, refresh: float = 600, life: float = 900) -> KeptToken:
    return KeptToken(
        open_id=OpenIdToken("us-east-1:a", f"secret.{word}.ü"),
        expires_at=START + timedelta(seconds=life),
        refresh_after=START + timedelta(seconds=refresh),
    )


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


class House:
    def __init__(self, stack: AsyncExitStack, server: RedisServer, client: Redis) -> None:
        self._stack = stack
        self._server = server
        self.client = client

    async def replica(self, *keys: str, pool_id: str = POOL, many: int = 5) -> RedisSharedTokens:
        key, *previous = keys or [KEY]
        client = await self._stack.enter_async_context(
            opened_client(self._server.url, max_connections=many, timeout_seconds=30)
        )
        seal = Seal(signing_key=key, previous_signing_keys=previous, purpose="test")
        return RedisSharedTokens(client, seal, prefix="test", pool_id=pool_id)


@pytest.fixture
async def house(redis_server: RedisServer) -> AsyncIterator[House]:
    async with (
        AsyncExitStack() as stack,
        opened_client(redis_server.url, max_connections=2, timeout_seconds=30) as client,
    ):
        await client.flushall()
        yield House(stack, redis_server, client)


async def asked(
    tokens: SharedTokens, user_id: str = ADA, *, after: float = 0, lease: float = 60
) -> KeptToken | str | None:
    better_than = START + timedelta(seconds=after)
    return await tokens.get_or_claim(user_id, better_than=better_than, lease_seconds=lease)


async def claimed(tokens: SharedTokens, user_id: str = ADA, *, after: float = 0) -> Claim:
    found = await asked(tokens, user_id, after=after)
    assert isinstance(found, str)
    return Claim(found)


async def test_the_first_asks_for_all_and_then_all_have_it(house: House) -> None:
    one, other = await house.replica(), await house.replica()
    claim = await claimed(one)
    assert await asked(other) is None
    assert await asked(one) is None
    await one.keep(ADA, kept(), claim)
    assert await asked(other) == await asked(one) == kept()
    assert await house.client.exists(CLAIM_KEY) == 0


async def test_of_many_at_once_one_has_the_claim(house: House) -> None:
    replicas = [await house.replica() for _ in range(3)]
    found = await asyncio.gather(*(asked(each) for _ in range(20) for each in replicas))
    assert sum(isinstance(each, str) for each in found) == 1
    assert found.count(None) == 59


async def test_a_token_that_is_to_be_replaced_is_none_but_stays_until_it_is(house: House) -> None:
    one, other = await house.replica(), await house.replica()
    await one.keep(ADA, kept(), None)
    claim = await claimed(one, after=600)
    assert await asked(other, after=600) is None
    assert await asked(other, after=599.9) == kept()
    await one.keep(ADA, kept("next", refresh=1200, life=1500), claim)
    assert await asked(other, after=600) == kept("next", refresh=1200, life=1500)


async def test_a_fresher_token_is_not_replaced_and_the_claim_ends_all_the_same(
    house: House,
) -> None:
    one, other = await house.replica(), await house.replica()
    claim = await claimed(one)
    await other.keep(ADA, kept("fresher", refresh=601), None)
    await one.keep(ADA, kept(), claim)
    assert await asked(one) == kept("fresher", refresh=601)
    assert await house.client.exists(CLAIM_KEY) == 0


async def test_a_claim_that_ended_by_itself_ends_nobody_elses(house: House) -> None:
    one, other = await house.replica(), await house.replica()
    late = await asked(one, lease=0.001)
    assert isinstance(late, str)
    await eventually(lambda: _gone(house.client, CLAIM_KEY))
    await claimed(other)
    await one.release(ADA, Claim(late))
    assert await asked(one) is None
    await one.keep(ADA, kept(refresh=-1), Claim(late))
    assert await asked(one) is None


async def _gone(client: Redis, key: str) -> bool:
    return not await client.exists(key)


async def test_a_released_claim_is_the_next_ones(house: House) -> None:
    one, other = await house.replica(), await house.replica()
    await one.release(ADA, await claimed(one))
    await claimed(other)


async def test_users_and_pools_know_nothing_of_one_another(house: House) -> None:
    one, elsewhere = await house.replica(), await house.replica(pool_id="us-east-1:0-b")
    await one.keep(ADA, kept(), None)
    await claimed(one, EVE)
    await claimed(elsewhere)


async def test_all_ends_with_the_token_and_the_lease(house: House) -> None:
    one = await house.replica()
    claim = await asked(one, lease=30)
    assert isinstance(claim, str)
    assert 20_000 < await house.client.pttl(CLAIM_KEY) <= 30_000
    await one.keep(ADA, kept(), Claim(claim))
    expires_at = kept().expires_at.replace(microsecond=123_000)
    assert await house.client.pexpiretime(TOKEN_KEY) == expires_at.timestamp() * 1000


async def test_one_that_has_expired_is_not_kept(house: House) -> None:
    one = await house.replica()
    past = START.replace(year=2020)
    token = KeptToken(open_id=OpenIdToken("a:0", "x"), expires_at=past, refresh_after=past)
    await one.keep(ADA, token, None)
    assert await house.client.keys() == []


async def test_the_server_never_sees_what_is_kept(house: House) -> None:
    one = await house.replica()
    await one.keep(ADA, kept(), None)
    stored = await house.client.hgetall(TOKEN_KEY)
    assert set(stored) == {b"refresh", b"sealed"}
    assert not any(word in stored[b"sealed"] for word in (b"secret", b"us-east-1"))


async def put(house: House, what: str) -> None:
    """A value that is not ADA's own, as somebody might who can write to the server."""
    one = await house.replica()
    await one.keep(EVE, kept("eves", refresh=9000), None)
    await one.keep(ADA, kept("adas"), None)
    eves = await house.client.hget(f"test:grant:{{{POOL}:{EVE}}}", "sealed")
    adas = await house.client.hget(TOKEN_KEY, "sealed")
    assert isinstance(eves, bytes)
    assert isinstance(adas, bytes)
    values: dict[str, dict[str, bytes]] = {
        "another's": {"sealed": eves, "refresh": b"9" * 16},
        "tampered": {"sealed": adas[:-1] + bytes([adas[-1] ^ 1]), "refresh": b"9" * 16},
        "not sealed": {"sealed": b'["a:0","token",1,1]'},
        "of another version": {"sealed": b"\x02" + adas[1:]},
        "older than said": {"refresh": b"9" * 16},
        "without a time": {"refresh": b"soon"},
    }
    for name, value in values[what].items():
        await house.client.hset(TOKEN_KEY, name, value)


@pytest.mark.parametrize(
    "what",
    [
        "another's",
        "tampered",
        "not sealed",
        "of another version",
        "older than said",
        "without a time",
    ],
)
async def test_what_does_not_open_counts_as_absent_and_is_replaced(house: House, what: str) -> None:
    await put(house, what)
    one, other = await house.replica(), await house.replica()
    after = 700.0 if what == "older than said" else 0.0
    with capture_logs() as lines:
        claim = await claimed(one, after=after)
    if what != "without a time":
        assert [line["event"] for line in lines] == ["grants.shared_token_unreadable"]
    assert "secret" not in str(lines)
    await one.keep(ADA, kept("new", refresh=800), claim)
    assert await asked(other, after=after) == kept("new", refresh=800)


async def test_a_replaced_signing_key_still_opens_what_it_sealed(house: House) -> None:
    old, turned = await house.replica(KEY), await house.replica(NEXT_KEY, KEY)
    await old.keep(ADA, kept(), None)
    assert await asked(turned) == kept()
    await turned.keep(ADA, kept("new", refresh=700), None)
    assert await asked(turned) == kept("new", refresh=700)
    await claimed(old)


async def test_more_callers_than_connections_wait_their_turn(house: House) -> None:
    one = await house.replica(many=2)
    await one.keep(ADA, kept(), None)
    assert set(await asyncio.gather(*(asked(one) for _ in range(500)))) == {kept()}


async def test_nobody_overtakes_who_waits_for_a_connection(house: House) -> None:
    one = await house.replica(many=1)
    await one.keep(ADA, kept(), None)
    done = 0

    async def greedy() -> None:
        nonlocal done
        for _ in range(100):
            await asked(one)
            done += 1

    busy = asyncio.create_task(greedy())
    await eventually(lambda: done > 0)
    await asked(one)
    assert done < 50
    await busy


async def test_scripts_that_the_server_forgot_are_sent_again(house: House) -> None:
    one = await house.replica()
    claim = await claimed(one)
    await house.client.script_flush()
    await one.keep(ADA, kept(), claim)
    await house.client.script_flush()
    assert await asked(one) == kept()


async def test_a_server_that_went_away_is_said_and_found_again(
    house: House, redis_server: RedisServer
) -> None:
    one = await house.replica()
    claim = await claimed(one)
    redis_server.stop()
    for call in (asked(one), one.keep(ADA, kept(), claim), one.release(ADA, claim)):
        with pytest.raises(UnavailableError):
            await call
    redis_server.start()
    await one.keep(ADA, kept(), claim)
    assert await asked(one) == kept()


async def test_a_caller_that_leaves_in_between_spoils_nothing(
    house: House, redis_server: RedisServer
) -> None:
    one = await house.replica(many=1)
    await one.keep(ADA, kept(), None)
    redis_server.freeze()
    asking = asyncio.create_task(asked(one, EVE))
    await asyncio.sleep(0.02)
    asking.cancel()
    redis_server.thaw()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await asked(one) == kept()


@pytest.mark.parametrize("poison", ["list", "string", "empty", "hash of nothing"])
async def test_what_is_not_ours_stands_in_nobodys_way(house: House, poison: str) -> None:
    tokens = await house.replica()
    match poison:
        case "list":
            await house.client.rpush(TOKEN_KEY, "x")
        case "string":
            await house.client.set(TOKEN_KEY, "x")
        case "empty":
            await house.client.hset(TOKEN_KEY, mapping={"refresh": 2**60, "sealed": ""})
        case _:
            await house.client.hset(TOKEN_KEY, "refresh", "x")
    claim = await asked(tokens)
    assert isinstance(claim, str)
    await tokens.keep(ADA, kept(), Claim(claim))
    assert await asked(tokens) == kept()


async def test_a_claim_without_an_end_is_nobodys(house: House) -> None:
    tokens = await house.replica()
    await house.client.set(CLAIM_KEY, "x")
    assert isinstance(await asked(tokens), str)
