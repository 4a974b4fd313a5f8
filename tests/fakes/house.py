"""The whole service as `create_app` wires it: SQLite in a folder, Cognito and the store a stub."""

import io
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

import logs
from main import create_app
from routers.services import Services
from settings import Settings
from tests.fakes import cognito_api
from tests.fakes.aws_environment import without_ambient_aws
from tests.fakes.eventually import eventually
from tests.fakes.http_stub import HttpStub, Reply, Request

PASSWORD = "correct horse battery"
WEBHOOK_TOKEN = "the-token-of-the-filer"
SIGNING_KEY = "a-signing-key-of-thirty-two-chars"
AWS_SECRET = "the-services-own-secret-key"
ADDRESS = "192.0.2.1"


def aws(request: Request) -> Reply:
    """Cognito knows every user, the store has no object."""
    return cognito_api.cognito(request) if "x-amz-target" in request.headers else Reply(404)


class House:
    """`secrets` is what must never reach a log."""

    def __init__(self, app: FastAPI, stub: HttpStub, path: Path) -> None:
        self.app = app
        self.stub = stub
        self.secrets = [PASSWORD, WEBHOOK_TOKEN, SIGNING_KEY, AWS_SECRET]
        self.secrets += [cognito_api.TOKEN, cognito_api.SECRET_KEY, cognito_api.SESSION_TOKEN]
        self.state: dict[str, Any] = {}
        self.token = ""
        self._path = path

    @property
    def services(self) -> Services:
        services: Services = self.state["services"]
        return services

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as the server hands it over."""
        await self.app({**scope, "state": dict(self.state)}, receive, send)

    def client(self, address: str = ADDRESS) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.answer, client=(address, 1234))
        return httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60)

    def rows(self) -> dict[str, int]:
        """How many rows each table has."""
        connection = sqlite3.connect(self._path)
        try:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {
                name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
                for (name,) in tables.fetchall()
            }
        finally:
            connection.close()

    async def started(self) -> bool:
        return (await self.services.readiness.report()).status != "starting"

    async def _log_in(self) -> None:
        await self.services.accounts.add_user("ada", PASSWORD)
        pair = await self.services.accounts.login("ada", PASSWORD, ADDRESS)
        self.token = pair.access_token
        self.secrets += [pair.access_token, pair.refresh_token]


def settings(folder: Path, endpoint: str, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "environment": "development",
        "database": {"url": f"sqlite+aiosqlite:///{folder / 'test.db'}"},
        # A house may stand longer than a token lives.
        "auth": {
            "signing_key": SIGNING_KEY,
            "failures_per_account": 3,
            "access_token_seconds": 86_400,
        },
        "aws": {
            "access_key_id": "AKIAEXAMPLE",
            "secret_access_key": AWS_SECRET,
            "call_timeout_seconds": 3,
            "max_attempts": 1,
        },
        "cognito": {"identity_pool_id": cognito_api.POOL, "endpoint": endpoint},
        "store": {"endpoint": endpoint},
        "webhooks": {"seaweedfs_tokens": [WEBHOOK_TOKEN]},
        "completion": {"sweep_interval_seconds": 3600},
        "relay": {"idle_seconds": 20},
        "http": {"body_limit": 8192, "cors_origins": ["https://app.example"]},
    }
    for name, value in changes.items():
        merged = isinstance(value, dict) and name in values
        values[name] = {**values[name], **value} if merged else value
    return Settings(**values)


@asynccontextmanager
async def opened_house(folder: Path, **changes: Any) -> AsyncIterator[House]:
    """Ready, with one user whose token is the house's. `changes` are settings."""
    async with AsyncExitStack() as stack:
        stub = await stack.enter_async_context(HttpStub.serving(aws))
        with pytest.MonkeyPatch.context() as patch:
            without_ambient_aws(patch)
            app = create_app(settings(folder, stub.url, **changes))
            state = await stack.enter_async_context(app.router.lifespan_context(app))
        house = House(app, stub, folder / "test.db")
        house.state = dict(state or {})
        await eventually(house.started)
        await house._log_in()
        yield house


@contextmanager
def captured_logs(shape: str = "json") -> Iterator[io.StringIO]:
    """What the process writes, at its most talkative, as `logs.configure` sets it up."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    written = io.StringIO()
    try:
        with redirect_stderr(written):
            logs.configure("debug", "json" if shape == "json" else "console")
        yield written
    finally:
        root.handlers = handlers
        root.setLevel(level)
        structlog.reset_defaults()
