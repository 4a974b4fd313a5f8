"""The application beside the service: a small receiver of webhooks, as one would write it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from cli.demo.service import LOOPBACK

_PATH = "/webhooks/uploadgate"
_DESCRIPTION = "the demo's application"
_ENDPOINTS = "/v1/admin/webhook-endpoints"
_WAIT_SECONDS = 15


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


class Application:
    """Takes each message once, by its id. What is not signed with its secret is refused."""

    def __init__(self) -> None:
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
            url = f"http://{host}:{port}{_PATH}"
            async with application._registered(service_url, token, url):
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
        webhook_id = request.headers["webhook-id"]
        async with self._news:
            self.repeats += webhook_id in self.heard
            self.heard.setdefault(webhook_id, Heard(webhook_id, datetime.now(UTC), message))
            self._news.notify_all()
        return web.Response(status=204)

    @asynccontextmanager
    async def _registered(self, service_url: str, token: str, url: str) -> AsyncIterator[None]:
        """In place of what an earlier demo left behind: its port was another one."""
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=service_url, headers=headers, timeout=10) as http:
            listed = (await http.get(_ENDPOINTS)).raise_for_status().json()
            for endpoint in listed["items"]:
                if endpoint["description"] == _DESCRIPTION:
                    (await http.delete(f"{_ENDPOINTS}/{endpoint['id']}")).raise_for_status()
            body = {"url": url, "description": _DESCRIPTION}
            made = (await http.post(_ENDPOINTS, json=body)).raise_for_status().json()
            self._secret = made["secret"]
            try:
                yield
            finally:
                with contextlib.suppress(httpx.HTTPError):
                    await http.delete(f"{_ENDPOINTS}/{made['id']}")
