"""The user's page: reads its event stream, as a page does with a streaming fetch."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx

_WAIT_SECONDS = 60
_SILENCE_SECONDS = 45  # three heartbeats


class Page:
    """`ready` once the stream is open; remembers when it heard what about which upload."""

    def __init__(self) -> None:
        self.heard: dict[tuple[str, str], datetime] = {}
        self._ready = asyncio.Event()
        self._news = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def open(cls, service_url: str, token: str) -> AsyncIterator["Page"]:
        page = cls()
        reading = asyncio.create_task(page._read(service_url, token))
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await page._ready.wait()
            yield page
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
                await reading

    async def about(self, upload_id: str, kind: str) -> datetime:
        """Raises TimeoutError."""
        async with asyncio.timeout(_WAIT_SECONDS), self._news:
            while (upload_id, kind) not in self.heard:
                await self._news.wait()
        return self.heard[upload_id, kind]

    async def _read(self, service_url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx.AsyncClient(
                base_url=service_url, headers=headers, timeout=_SILENCE_SECONDS
            ) as http,
            http.stream("GET", "/v1/events") as answer,
        ):
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                name, _, value = line.partition(":")
                if name == "event" and value.strip() == "ready":
                    self._ready.set()
                elif name == "data":
                    await self._note(json.loads(value))

    async def _note(self, event: dict[str, object]) -> None:
        data = event.get("data")
        upload = data.get("upload") if isinstance(data, dict) else None
        if isinstance(upload, dict):
            async with self._news:
                key = (str(upload["id"]), str(event["type"]))
                self.heard.setdefault(key, datetime.now(UTC))
                self._news.notify_all()
