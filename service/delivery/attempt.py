"""One attempt at one delivery: signed, sent, written down, told to the log."""

import random
import time
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog

from service.clock import Clock
from service.delivery import signing
from service.delivery.plan import Delivered, GiveUp, Retry, what_follows
from service.delivery.ports import Answer, Delivery, Message, NoAnswer, Outbox, Sender

_log = structlog.get_logger("uploadgate.delivery")


class Courier:
    """`retry_seconds` are the pauses after failed attempts. `worker` is who holds the lease.
    `clock` is what replicas share; what is signed bears the time of the `world`, by which the
    receiver goes.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        sender: Sender,
        retry_seconds: tuple[float, ...],
        worker: str,
        clock: Clock,
        world: Clock,
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._pauses = retry_seconds
        self._worker = worker
        self._clock = clock
        self._world = world

    async def make(self, delivery: Delivery) -> None:
        """Raises UnavailableError when what came of it could not be written."""
        started = time.perf_counter()
        outcome = await posted(self._sender, delivery, self._world())
        after = what_follows(
            outcome,
            attempts=delivery.failures + 1,
            pauses=self._pauses,
            jitter=random.random(),  # noqa: S311 - no secret
        )
        _tell(delivery, after, round((time.perf_counter() - started) * 1000))
        await self._write(delivery, after)

    async def _write(self, delivery: Delivery, after: Delivered | Retry | GiveUp) -> None:
        now, worker = self._clock(), self._worker
        match after:
            case Delivered(status):
                await self._outbox.delivered(delivery, worker, now, status)
            case Retry(seconds, error, status):
                due_at = now + timedelta(seconds=seconds)
                await self._outbox.retry(
                    delivery, worker, now, due_at=due_at, status=status, error=error
                )
            case GiveUp(error, status, gone):
                if gone:
                    await self._outbox.disable(delivery, now, "It answered 410 Gone")
                await self._outbox.give_up(delivery, worker, now, status=status, error=error)


async def posted(sender: Sender, message: Message, at: datetime) -> Answer | NoAnswer:
    """Signed and sent once. The time is the attempt's own: receivers refuse what is minutes old."""
    body = message.payload.encode()
    try:
        headers = signing.signed_headers(
            message.event_id, int(at.timestamp()), body, message.secrets
        )
        return await sender.post(message.url, headers, body)
    except Exception:  # noqa: BLE001 - see below
        # A fault of ours costs the message an attempt, as one of the receiver's does.
        _log.exception("webhook.failed", **named(message))
        return NoAnswer("internal_error")


def named(message: Message) -> dict[str, Any]:
    """For the log. Of the URL the host alone: path and query may be as good as a password."""
    facts = {
        "event_id": message.event_id,
        "endpoint_id": message.endpoint_id,
        "host": urlsplit(message.url).hostname,
    }
    return {**facts, "attempt": message.attempts} if isinstance(message, Delivery) else facts


def _tell(delivery: Delivery, after: Delivered | Retry | GiveUp, milliseconds: int) -> None:
    facts = {**named(delivery), "status": after.status, "milliseconds": milliseconds}
    match after:
        case Delivered():
            _log.info("webhook.delivered", **facts)
        case Retry(seconds, error, _):
            _log.warning("webhook.retried", cause=error, seconds=round(seconds), **facts)
        case GiveUp(error, _, gone):
            _log.error("webhook.given_up", cause=error, gone=gone, **facts)
