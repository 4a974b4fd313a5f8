"""A message by which an endpoint is tried: sent at once and once only, whatever the endpoint asks
for, also while it is disabled. It is no event: nothing is kept of it, and nothing follows from it.
"""

import secrets
import time
from dataclasses import dataclass
from datetime import datetime

from errors import OverloadedError
from service.clock import Clock
from service.delivery.attempt import posted
from service.delivery.endpoints import Endpoints
from service.delivery.events import rendered
from service.delivery.plan import Delivered, what_follows
from service.delivery.ports import Endpoint, Message, Sender

TRIAL_TYPE = "webhook.test"
# Of one process: receivers that hang are waited for by no more than so many requests.
TRIALS_AT_ONCE = 4
_COME_AGAIN_SECONDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """`status` is what the receiver answered, where it did. `error` is None for a message that
    would count as delivered, and the word that a delivery would note for any other.
    """

    event_id: str
    status: int | None
    error: str | None
    milliseconds: int

    @property
    def delivered(self) -> bool:
        return self.error is None


class Trials:
    """`sender` is to have room for `TRIALS_AT_ONCE`."""

    def __init__(self, *, endpoints: Endpoints, sender: Sender, clock: Clock) -> None:
        self._endpoints = endpoints
        self._sender = sender
        self._clock = clock
        self._under_way = 0

    async def make(self, endpoint_id: str) -> Trial:
        """Raises EndpointNotFoundError, OverloadedError and UnavailableError."""
        endpoint = await self._endpoints.get(endpoint_id)
        if self._under_way >= TRIALS_AT_ONCE:
            raise OverloadedError(
                "Too many test messages are under way", retry_after=_COME_AGAIN_SECONDS
            )
        self._under_way += 1
        try:
            return await self._made(endpoint)
        finally:
            self._under_way -= 1

    async def _made(self, endpoint: Endpoint) -> Trial:
        now = self._clock()
        message = _message(endpoint, now)
        started = time.perf_counter()
        outcome = await posted(self._sender, message, now)
        milliseconds = round((time.perf_counter() - started) * 1000)
        after = what_follows(outcome, attempts=1, pauses=(), jitter=0)
        return Trial(
            event_id=message.event_id,
            status=after.status,
            error=None if isinstance(after, Delivered) else after.error,
            milliseconds=milliseconds,
        )


def _message(endpoint: Endpoint, now: datetime) -> Message:
    return Message(
        event_id=f"evt_test_{secrets.token_hex(12)}",
        endpoint_id=endpoint.id,
        url=endpoint.url,
        secrets=endpoint.secrets,
        payload=rendered(TRIAL_TYPE, now, {"endpoint_id": endpoint.id}),
    )
