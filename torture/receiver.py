"""The application that hears: it verifies every message as an application would, and can be told
to be as bad as applications are.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

HOOKS = "/hooks"
_MOST_BYTES = 1_048_576


@dataclass
class Receiver:
    """`status` is its answer, `seconds` how long it takes to it. `arrived` counts the messages
    that were verified by webhook-id, `accepted` those of them that were answered 2xx.
    """

    secret: str = field(repr=False)
    address: tuple[str, int] = ("", 0)
    status: int = 200
    seconds: float = 0.0
    retry_after: str | None = None
    arrived: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, set[str]] = field(default_factory=dict, repr=False)
    """By webhook-id: one body each, however often it comes."""
    forged: int = 0
    attempts: int = 0
    """Of every kind, whatever was answered."""

    @classmethod
    @contextlib.asynccontextmanager
    async def serving(cls, secret: str) -> AsyncIterator["Receiver"]:
        receiver = cls(secret)
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_post(HOOKS, receiver._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.address = ("127.0.0.1", runner.addresses[0][1])
        try:
            yield receiver
        finally:
            await runner.cleanup()

    def behave(
        self, *, status: int = 200, seconds: float = 0.0, retry_after: str | None = None
    ) -> None:
        self.status, self.seconds, self.retry_after = status, seconds, retry_after

    async def _take(self, request: web.Request) -> web.Response:
        self.attempts += 1
        body = (await request.read()).decode()
        try:
            Webhook(self.secret).verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError):
            self.forged += 1
            return web.Response(status=400)
        # As it is now: a change while it takes its time is for the next message.
        status, headers = self.status, self._headers()
        self._note(request.headers["webhook-id"], body, status)
        await asyncio.sleep(self.seconds)
        return web.Response(status=status, headers=headers)

    def _headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": self.retry_after}

    def _note(self, message_id: str, body: str, status: int) -> None:
        self.arrived[message_id] += 1
        self.bodies.setdefault(message_id, set()).add(body)
        if 200 <= status < 300:  # noqa: PLR2004 - what 2xx is
            self.accepted[message_id] += 1
