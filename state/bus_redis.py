"""Valkey's or Redis' publish/subscribe between replicas."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from errors import UnavailableError
from state.bus_messages import new_origin, packed, unpacked

_AWAY = "Redis does not answer"
# One publishes, one listens; the rest is for one that is being replaced.
_CONNECTIONS = 4
_FAILURES = (RedisError, OSError)


class RedisBus:
    """Implements service.delivery.ports.Bus. After `silence_seconds` without a message the
    connection is asked whether it still lives; `timeout_seconds` for the answer, for connecting
    and for each command.
    """

    def __init__(
        self, client: Redis, *, prefix: str, timeout_seconds: float, silence_seconds: float = 30
    ) -> None:
        self._client = client
        self._channel = f"{prefix}:events"
        self._timeout_seconds = timeout_seconds
        self._silence_seconds = silence_seconds
        self._origin = new_origin()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, url: str, *, prefix: str, timeout_seconds: float, silence_seconds: float = 30
    ) -> AsyncIterator["RedisBus"]:
        """Connects when it is used. Raises ValueError for what is no address."""
        client = Redis.from_url(
            url,
            protocol=2,  # what every version of either speaks
            decode_responses=True,
            socket_connect_timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            max_connections=_CONNECTIONS,
            # A connection that is silently made anew hides that messages were lost.
            retry=Retry(NoBackoff(), 0),
        )
        async with client:
            yield cls(
                client,
                prefix=prefix,
                timeout_seconds=timeout_seconds,
                silence_seconds=silence_seconds,
            )

    async def publish(self, user_ids: Collection[str]) -> None:
        try:
            for message in packed(self._origin, user_ids):
                await self._client.publish(self._channel, message)
        except _FAILURES as error:
            raise UnavailableError(_AWAY) from error

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[AsyncIterator[str]]:
        try:
            async with self._client.pubsub() as subscription:
                await subscription.subscribe(self._channel)
                await self._heard(subscription, self._timeout_seconds)  # that it is subscribed
                async with aclosing(self._user_ids(subscription)) as user_ids:
                    yield user_ids
        except _FAILURES as error:
            raise UnavailableError(_AWAY) from error

    async def _user_ids(self, subscription: PubSub) -> AsyncGenerator[str, None]:
        while True:
            heard = await subscription.get_message(timeout=self._silence_seconds)
            if heard is None:
                await subscription.ping()
                heard = await self._heard(subscription, self._timeout_seconds)
            if heard["type"] == "message":
                for user_id in unpacked(self._origin, heard["data"]):
                    yield user_id

    @staticmethod
    async def _heard(subscription: PubSub, seconds: float) -> dict[str, Any]:
        heard: dict[str, Any] | None = await subscription.get_message(timeout=seconds)
        if heard is None:
            raise UnavailableError(_AWAY)
        return heard
