"""An application that hears of uploads. As bad as applications are: it answers what it is told."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from tests.integration.stack import User

ENDPOINTS = "/v1/admin/webhook-endpoints"
SETTINGS = {
    "UPLOADGATE_DELIVERY__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    "UPLOADGATE_DELIVERY__ALLOW_HTTP": "true",
    "UPLOADGATE_DELIVERY__RETRY_SECONDS": "[0.1, 0.1, 0.1, 0.1]",
}
_PATIENCE = 120.0


@dataclass(frozen=True)
class Answer:
    """Given once `after` is set, where there is one."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    after: asyncio.Event | None = None


@dataclass(frozen=True)
class Attempt:
    """What came, and what was answered. `at` is the loop's time."""

    body: bytes
    headers: dict[str, str]
    status: int
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return str(self.message["type"])

    @property
    def upload(self) -> Any:
        """As the message shows it; empty where it is about none."""
        return self.message["data"].get("upload", {})

    def verified(self, secret: str) -> Any:
        """The message. Raises WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)

    def is_signed_with(self, secret: str) -> bool:
        try:
            self.verified(secret)
        except WebhookVerificationError:
            return False
        return True


class Receiver:
    """`answers` are given in their order, and 204 when they have run out."""

    def __init__(self) -> None:
        self.url = ""
        self.attempts: list[Attempt] = []
        self.answers: deque[Answer] = deque()
        self._news = asyncio.Condition()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls) -> AsyncIterator["Receiver"]:
        receiver = cls()
        app = web.Application()
        app.router.add_post("/hooks", receiver._receive)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
            yield receiver
        finally:
            await runner.cleanup()

    async def heard(self, upload: Any, kind: str) -> Attempt:
        """The first message of that kind about that upload. Raises TimeoutError."""
        [first, *_] = await self.tried(upload, kind)
        return first

    async def tried(self, upload: Any, kind: str, times: int = 1) -> list[Attempt]:
        """All attempts at telling that, once there are so many. Raises TimeoutError."""

        def about(attempt: Attempt) -> bool:
            return (attempt.upload.get("id"), attempt.type) == (upload["id"], kind)

        return await self.those(about, times)

    async def those(self, wanted: Callable[[Attempt], bool], times: int = 1) -> list[Attempt]:
        async with asyncio.timeout(_PATIENCE), self._news:
            while len(found := [attempt for attempt in self.attempts if wanted(attempt)]) < times:
                await self._news.wait()
            return found

    def types(self, upload: Any) -> list[str]:
        """What it was told of that upload until now, in the order in which it came."""
        return [one.type for one in self.attempts if one.upload.get("id") == upload["id"]]

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        answer = self.answers.popleft() if self.answers else Answer()
        headers = {name.lower(): value for name, value in request.headers.items()}
        now = asyncio.get_running_loop().time()
        async with self._news:
            self.attempts.append(Attempt(body, headers, answer.status, now))
            self._news.notify_all()
        if answer.after is not None:
            await answer.after.wait()
        return web.Response(status=answer.status, headers=answer.headers)


@dataclass
class Administrator:
    """Of webhook endpoints."""

    api: httpx.AsyncClient
    user: User

    async def ask(self, method: str, path: str = "", **more: Any) -> httpx.Response:
        return await self.api.request(
            method, f"{ENDPOINTS}{path}", headers=self.user.headers, **more
        )

    async def asked(self, method: str, path: str = "", **more: Any) -> Any:
        answer = await self.ask(method, path, **more)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def add(self, url: str, **more: Any) -> Any:
        """With its secret."""
        return await self.asked("POST", json={"url": url, **more})

    @contextlib.asynccontextmanager
    async def receiving(self, **more: Any) -> AsyncIterator[tuple[Receiver, Any]]:
        """A receiver that is registered for as long as the block, and its endpoint."""
        async with Receiver.running() as receiver:
            endpoint = await self.add(receiver.url, **more)
            try:
                yield receiver, endpoint
            finally:
                await self.asked("DELETE", f"/{endpoint['id']}")

    async def deliveries(self, endpoint: Any) -> list[Any]:
        """Newest first."""
        found: list[Any] = (await self.asked("GET", f"/{endpoint['id']}/deliveries"))["items"]
        return found
