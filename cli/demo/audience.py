"""Who hears of an upload: the application by a signed webhook, the page by its event stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import httpx

from cli.demo.application import Application
from cli.demo.page import Page
from client.wire import Upload


@dataclass(frozen=True, slots=True)
class Audience:
    application: Application
    page: Page

    async def told(self, record: Upload) -> list[str]:
        """One line for each. Raises TimeoutError when one of them hears nothing."""
        kind = f"upload.{record.status}"
        message = await self.application.about(record.id, kind)
        seen = await self.page.about(record.id, kind)
        return [
            f"the application heard {message}, {_after(record, message.at)}",
            f"the page heard {kind} on its event stream, {_after(record, seen)}",
        ]


@asynccontextmanager
async def assembled(
    url: str, admin: tuple[str, str], user: tuple[str, str]
) -> AsyncIterator[Audience]:
    """Names and passwords: an administrator registers the webhook, the user opens the page."""
    async with (
        Application.running(url, await _token(url, *admin)) as application,
        Page.open(url, await _token(url, *user)) as page,
    ):
        yield Audience(application, page)


async def _token(url: str, username: str, password: str) -> str:
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        body = {"username": username, "password": password}
        answer = (await http.post("/v1/auth/login", json=body)).raise_for_status()
        token: str = answer.json()["access_token"]
        return token


def _after(record: Upload, heard_at: datetime) -> str:
    if record.completed_at is None:
        return "heard"
    return f"{(heard_at - record.completed_at).total_seconds():.2f} s after the completion"
