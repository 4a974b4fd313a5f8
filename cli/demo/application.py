"""The application beside the service: a small receiver of webhooks, as one would write it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from cli.demo.service import LOOPBACK

WHAT = "a small application (cli/demo/application.py)"
VERIFIED = "verified by standardwebhooks"
_PATH = "/webhooks/uploadgate"
_DESCRIPTION = "the demo's application"
_ENDPOINTS = "/v1/admin/webhook-endpoints"
_WAIT_SECONDS = 60
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Heard:
    """A message whose signature was right. `id` is its webhook-id."""

    id: str
    at: datetime
    message: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.message["type"])

    @property
    def upload_id(self) -> str | None:
        upload_id: str | None = self.message["data"].get("upload", {}).get("id")
        return upload_id

    def __str__(self) -> str:
        return f"{self.type}, {VERIFIED}, webhook-id {self.id}"


class Application:
    """Takes each message once, by its id. What is not signed with its secret is refused. It listens
    at `url`, and is the service's endpoint `endpoint_id`. `on_message` gets each one, and whether
    it has come before.
    """

    def __init__(self) -> None:
        self.url = self.endpoint_id = ""
        self.on_message: Callable[[Heard, bool], None] = lambda _message, _again: None
        self.heard: dict[str, Heard] = {}
        self.repeats = self.refused = 0
        self._secret = ""
        self._news = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def running(cls, service_url: str, token: str) -> AsyncIterator["Application"]:
        """Listens on the loopback interface, and is registered by an administrator's token."""
        application = cls()
        app = web.Application()
        app.router.add_post(_PATH, application._receive)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, LOOPBACK, 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            application.url = f"http://{host}:{port}{_PATH}"
            async with application._registered(service_url, token):
                yield application
        finally:
            await runner.cleanup()

    async def about(self, upload_id: str, kind: str) -> Heard:
        """The message of that kind about that upload. Raises TimeoutError."""
        async with asyncio.timeout(_WAIT_SECONDS), self._news:
            while True:
                for heard in self.heard.values():
                    if (heard.upload_id, heard.type) == (upload_id, kind):
                        return heard
                await self._news.wait()

    async def _receive(self, request: web.Request) -> web.Response:
        try:
            message = Webhook(self._secret).verify(await request.read(), dict(request.headers))
        except (WebhookVerificationError, json.JSONDecodeError):
            self.refused += 1
            return web.Response(status=400)
        heard = Heard(request.headers["webhook-id"], datetime.now(UTC), message)
        async with self._news:
            again = heard.id in self.heard
            self.repeats += again
            self.heard.setdefault(heard.id, heard)
            if len(self.heard) > _MOST:
                del self.heard[next(iter(self.heard))]
            self.on_message(heard, again)
            self._news.notify_all()
        return web.Response(status=204)

    @asynccontextmanager
    async def _registered(self, service_url: str, token: str) -> AsyncIterator[None]:
        """In place of what an earlier demo left behind: its port was another one."""
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=service_url, headers=headers, timeout=10) as http:
            listed = (await http.get(_ENDPOINTS)).raise_for_status().json()
            for endpoint in listed["items"]:
                if endpoint["description"] == _DESCRIPTION:
                    (await http.delete(f"{_ENDPOINTS}/{endpoint['id']}")).raise_for_status()
            body = {"url": self.url, "description": _DESCRIPTION}
            made = (await http.post(_ENDPOINTS, json=body)).raise_for_status().json()
            self._secret, self.endpoint_id = made["secret"], made["id"]
            try:
                yield
            finally:
                with contextlib.suppress(httpx.HTTPError):
                    await http.delete(f"{_ENDPOINTS}/{made['id']}")
