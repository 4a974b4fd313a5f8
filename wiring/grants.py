"""The room of grants: one identity pool, what is kept of it, and how it may be called."""

import asyncio
from datetime import timedelta
from functools import partial

from aws.clients import AwsClients
from aws.cognito import CognitoIdentityPool
from errors import CognitoRefusedError, IdentityConflictError, UploadgateError
from service.clock import steady_now, utc_now
from service.delivery.ports import Announce
from service.grants.asking import Asking
from service.grants.breaker import Breaker
from service.grants.calls import Calls
from service.grants.grants import CredentialsPolicy, Grants, PoolRoom
from service.grants.identities import Identities
from service.grants.lull import Lull
from service.grants.model import Place
from service.grants.tokens import Tokens, Waits
from service.grants.turns import Turns
from settings import CognitoSettings, Settings
from state.database import Database
from state.identities import SqlIdentityHistory
from wiring.shared import Connections, shared_tokens_of, turns_of

# Of the wait that a caller is asked to bear, for its turn; the rest is for the call.
_TURN_SHARE = 0.75
# Redis is left alone for so long once it did not answer.
_LULL_SECONDS = 2.0
# Of a token's life: so long before it is to be replaced that happens in the background.
_EARLY_SHARE = 0.1


def grants_of(
    settings: Settings,
    database: Database,
    clients: AwsClients,
    redis: Connections | None,
    *,
    policy: CredentialsPolicy,
    announce: Announce,
) -> Grants:
    room = None
    if settings.cognito.identity_pool_id is not None:
        history = SqlIdentityHistory(database, database.clock, announce)
        pool = _pool(settings, clients, settings.cognito.identity_pool_id)
        room = _room(settings, pool, Identities(history, pool.pool_id, steady_now), database, redis)
    return Grants(room, policy=policy, place=_place(settings), clock=utc_now)


def _room(
    settings: Settings,
    pool: CognitoIdentityPool,
    identities: Identities,
    database: Database,
    redis: Connections | None,
) -> PoolRoom:
    cognito = settings.cognito
    lull = Lull(_now, seconds=_LULL_SECONDS)
    turns = partial(turns_of, settings, database, redis, lull, now=_now)
    tokens = turns(
        call="GetOpenIdTokenForDeveloperIdentity", calls_per_second=cognito.calls_per_second
    )
    exchanges = turns(
        call="GetCredentialsForIdentity", calls_per_second=cognito.exchanges_per_second
    )
    calls = _calls(cognito, tokens)
    asking = Asking(
        pool=pool,
        calls=calls,
        identities=identities,
        token_seconds=cognito.token_seconds,
        wait_seconds=cognito.wait_seconds,
        clock=utc_now,
        shared=shared_tokens_of(settings, redis, pool.pool_id),
        lull=lull,
    )
    return PoolRoom(
        pool=pool,
        tokens=Tokens(
            asking,
            waits=Waits(
                caller_seconds=cognito.wait_seconds,
                early=timedelta(seconds=cognito.token_seconds * _EARLY_SHARE),
            ),
            most_kept=cognito.token_cache,
            clock=utc_now,
        ),
        identities=identities,
        calls=calls,
        # Of credentials Cognito refuses one user's token where it refuses tokens to all.
        exchanges=_calls(cognito, exchanges, CognitoRefusedError),
    )


def _calls(cognito: CognitoSettings, turns: Turns, *own: type[UploadgateError]) -> Calls:
    breaker = Breaker(
        steady_now,
        failures=cognito.breaker_failures,
        pause=timedelta(seconds=cognito.breaker_seconds),
        patience=timedelta(seconds=2 * cognito.call_timeout_seconds),
    )
    return Calls(
        turns,
        breaker,
        most=cognito.max_concurrent,
        seconds=cognito.call_timeout_seconds,
        within=cognito.wait_seconds * _TURN_SHARE,
        own_trouble=(IdentityConflictError, *own),
    )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _pool(settings: Settings, clients: AwsClients, pool_id: str) -> CognitoIdentityPool:
    return CognitoIdentityPool(
        client=clients.cognito,
        public_client=clients.cognito_public,
        pool_id=pool_id,
        developer_provider_name=settings.cognito.developer_provider_name,
        call_seconds=settings.cognito.call_timeout_seconds,
    )


def _place(settings: Settings) -> Place:
    return Place(
        region=settings.aws.region,
        bucket=settings.store.bucket,
        cognito_endpoint=settings.cognito.public_endpoint or settings.cognito.endpoint,
        s3_endpoint=settings.store.public_endpoint or settings.store.endpoint,
    )
