"""A real browser for the tests: headless Chromium, driven by its DevTools protocol.

Only a browser proves CORS, preflights, and which headers a page may send and read.
"""

import asyncio
import contextlib
import itertools
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import websockets

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
_PATIENCE = 120.0
_FLAGS = (
    "--headless",
    "--no-sandbox",  # tests run as root in CI, where Chromium's own sandbox cannot
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    # Nothing but what the page asks of this machine leaves it.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-proxy-server",
    "--remote-debugging-port=0",
)
_LISTENING = re.compile(rb"DevTools listening on (ws://\S+)")


class PageError(Exception):
    """An exception of the page's own script, or a page that could not be opened."""


class Browser:
    """One connection to the browser; answers are matched by id, events are dropped."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator["Browser"]:
        """Its profile is a new one in `folder`."""
        assert CHROMIUM is not None
        process = await asyncio.create_subprocess_exec(
            *(CHROMIUM, *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"),
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        talk = None
        try:
            address = await _address(process.stderr)
            talk = asyncio.create_task(_drain(process.stderr))
            async with websockets.connect(address, max_size=None, proxy=None) as socket:
                browser = cls(socket)
                reading = asyncio.create_task(browser._read())
                yield browser
                reading.cancel()
        finally:
            await _stop(process)
            if talk is not None:
                await talk

    @contextlib.asynccontextmanager
    async def page(self, url: str) -> AsyncIterator["Page"]:
        """A tab of its own, closed at the end."""
        target = (await self.send("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self.send("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, attached["sessionId"])
        try:
            await page.open(url)
            yield page
        finally:
            await self.send("Target.closeTarget", targetId=target)

    async def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        call = {"id": number, "method": method, "params": params}
        await self._socket.send(json.dumps(call | ({"sessionId": session} if session else {})))
        async with asyncio.timeout(_PATIENCE):
            said = await answer
        if "error" in said:
            raise PageError(said["error"]["message"])
        result: dict[str, Any] = said["result"]
        return result

    async def _read(self) -> None:
        async for text in self._socket:
            said = json.loads(text)
            waiting = self._waiting.pop(said.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(said)


class Page:
    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    async def open(self, url: str) -> None:
        """Loaded, its scripts included."""
        await self._browser.send("Page.enable", self._session)
        opened = await self._browser.send("Page.navigate", self._session, url=url)
        if "errorText" in opened:
            raise PageError(opened["errorText"])
        await self.evaluate(
            "new Promise(done => document.readyState === 'complete' ? done()"
            " : addEventListener('load', () => done()))"
        )

    async def evaluate(self, expression: str) -> Any:
        """The value, as JSON; a promise's once it is there."""
        answer = await self._browser.send(
            "Runtime.evaluate",
            self._session,
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            raise PageError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    async def call(self, function: str, argument: Any) -> Any:
        return await self.evaluate(f"{function}({json.dumps(argument)})")


async def _address(stderr: asyncio.StreamReader) -> str:
    said = b""
    async with asyncio.timeout(_PATIENCE):
        while line := await stderr.readline():
            said += line
            if found := _LISTENING.search(line):
                return found[1].decode()
    raise PageError(f"Chromium did not start: {said.decode(errors='replace')}")


async def _drain(stderr: asyncio.StreamReader) -> None:
    """What it complains about is of no interest, but its pipe must not fill up."""
    while await stderr.read(65_536):
        pass


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
