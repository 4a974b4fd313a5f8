"""What replicas share in flight, where it is configured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from service.grants.fleet_rate import FleetRate
from service.grants.lull import Lull
from service.grants.pacing import MemoryTurns, Pace
from service.grants.pacing import Turns as TakenTurns
from service.grants.ports import SharedTokens
from service.grants.turns import Now, Turns
from settings import Settings
from state.attempts_redis import RedisCounts
from state.database import Database
from state.rate_postgres import PostgresTurns
from state.rate_redis import RedisTurns
from state.redis_clients import opened_client
from state.sealing import Seal
from state.shared_tokens import RedisSharedTokens

_FOR_TURNS = 4
_PURPOSE = "OpenID tokens"
# Of a spacing: less, as what is measured by two clocks is never quite the same.
_NEARLY = 0.9


@dataclass(frozen=True, slots=True)
class Connections:
    """`turns` are few, and wait behind nothing else: they are what a call to Cognito waits for."""

    commands: Redis
    turns: Redis


@asynccontextmanager
async def opened_redis(settings: Settings) -> AsyncIterator[Connections | None]:
    """Connections for commands; news has its own."""
    if settings.redis.url is None:
        yield None
        return
    url, seconds = settings.redis.url.get_secret_value(), settings.redis.timeout_seconds
    most = settings.redis.max_connections
    async with (
        opened_client(url, max_connections=most, timeout_seconds=seconds) as commands,
        opened_client(url, max_connections=_FOR_TURNS, timeout_seconds=seconds) as turns,
    ):
        yield Connections(commands, turns)


def shared_tokens_of(
    settings: Settings, redis: Connections | None, pool_id: str
) -> SharedTokens | None:
    if redis is None:
        return None
    auth = settings.auth
    seal = Seal(
        signing_key=auth.signing_key.get_secret_value(),
        previous_signing_keys=[key.get_secret_value() for key in auth.previous_signing_keys],
        purpose=_PURPOSE,
    )
    return RedisSharedTokens(redis.commands, seal, prefix=settings.redis.prefix, pool_id=pool_id)


def shared_failures_of(settings: Settings, redis: Connections | None) -> RedisCounts | None:
    if redis is None:
        return None
    return RedisCounts(
        redis.commands,
        prefix=settings.redis.prefix,
        per_account=settings.auth.failures_per_account,
        per_address=settings.auth.failures_per_address,
        window_seconds=settings.auth.failure_window_seconds,
        timeout_seconds=settings.redis.timeout_seconds,
    )


def turns_of(
    settings: Settings,
    database: Database,
    redis: Connections | None,
    lull: Lull,
    *,
    call: str,
    calls_per_second: float,
    now: Now,
) -> Turns:
    """`call` names the rate. The quota is an account's, whatever the pool: all pools share it."""
    if calls_per_second == 0:
        return Turns(None, now=now)
    pace = Pace(calls_per_second, settings.cognito.quota_share)
    own = FleetRate(_kept_here(database, pace, f"cognito:{call}"), pace)
    if redis is None:
        return Turns(own, now=now, refusal=pace.refusal)
    key = f"{settings.redis.prefix}:rate:cognito:{call}"
    shared = FleetRate(RedisTurns(redis.turns, pace, key=key), pace)
    apart = pace.spacing * _NEARLY
    return Turns(shared, spare=own, lull=lull, apart=apart, now=now, refusal=pace.refusal)


def _kept_here(database: Database, pace: Pace, key: str) -> TakenTurns:
    """By Postgres for all replicas; with SQLite there is one."""
    if database.engine.dialect.name == "postgresql":
        return PostgresTurns(database, pace, key=key)
    return MemoryTurns(pace)
