"""What one user does to get a file into the store, in each of the three ways.

Who is told to come again comes again, as every client of ours and every SDK does.
"""

import asyncio
import contextlib
import random
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from benchmarks.thrifty import Answer, Line

_OK, _CREATED, _ACCEPTED, _CONFLICT, _FAULT, _COME_AGAIN = 200, 201, 202, 409, 500, 503
_ATTEMPTS = 20
_LONGEST_PAUSE = 8.0
_BOUNDARY = "---------------------------41184676334"
_FORM_HEAD = (
    f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="holiday.mp4"\r\n'
    "Content-Type: video/mp4\r\n\r\n"
).encode()
_FORM_END = f"\r\n--{_BOUNDARY}--\r\n".encode()


@dataclass
class Passage:
    """What all users together sent to the server (bytes), how often they were told to wait for a
    place or for the store, and how often the store itself failed them.
    """

    sent: int = 0
    again: int = 0
    store_failures: int = 0


@dataclass(frozen=True, slots=True)
class User:
    """One at uploadgate. Each call takes a connection of its own: between two of them it is idle
    for longer than servers keep one.
    """

    port: int
    token: str
    passage: Passage

    async def post(self, path: str, body: Any, status: int) -> Any:
        for attempt in range(_ATTEMPTS):
            async with Line.to(self.port) as line:
                answer = await line.ask_json(path, body, self.known)
            self.passage.sent += line.sent
            if answer.status != _COME_AGAIN:
                return answer.expect(status).json
            self.passage.store_failures += 1
            await _pause(attempt)
        raise RuntimeError(f"{path} is answered with 503 again and again")

    async def announce(self, size: int, transport: str) -> Any:
        body = {"filename": "holiday.mp4", "size": size, "transport": transport}
        return await self.post("/v1/uploads", body, _CREATED)

    async def get(self, path: str) -> Any:
        async with Line.to(self.port) as line:
            answer = await line.ask("GET", path, headers=self.known)
        self.passage.sent += line.sent
        return answer.expect(_OK).json

    @property
    def known(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


async def direct(port: int, token: str, content: memoryview, passage: Passage) -> None:
    """Announce, get the parts' addresses, send them to the store, complete."""
    user = User(port, token, passage)
    upload = await user.announce(len(content), "presigned")
    path, multipart = f"/v1/uploads/{upload['id']}", upload["multipart"]
    numbers = list(range(1, multipart["part_count"] + 1))
    signed = await user.post(f"{path}/parts", {"part_numbers": numbers}, _OK)
    for part in signed["parts"]:
        start = (part["part_number"] - 1) * multipart["part_size"]
        await _send_part(part, content[start : start + multipart["part_size"]], passage)
    _check(await user.post(f"{path}/complete", {}, _OK))


async def _send_part(part: dict[str, Any], piece: memoryview, passage: Passage) -> None:
    address = urlsplit(part["url"])
    assert address.port is not None  # noqa: S101 - the embedded store's
    headers = {"Host": address.netloc, **part["headers"]}
    target = f"{address.path}?{address.query}"
    for attempt in range(_ATTEMPTS):
        async with Line.to(address.port) as store:
            with contextlib.suppress(ConnectionError):
                answer = await store.ask("PUT", target, piece, headers=headers)
                if answer.status < _FAULT:
                    answer.expect(_OK)
                    return
        passage.store_failures += 1
        await _pause(attempt)
    raise RuntimeError("the store does not take a part")


async def relay(port: int, token: str, content: memoryview, passage: Passage) -> None:
    """The service is asked first whether it takes the body, and the user comes again as told."""
    user = User(port, token, passage)
    upload = await user.announce(len(content), "relay")
    path = f"/v1/uploads/{upload['id']}"
    answer = await _relayed(user, f"{path}/content", content)
    while answer.status == _COME_AGAIN:
        passage.again += 1
        pause = float(answer.headers.get("retry-after", 1))
        await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - jitter
        answer = await _relayed(user, f"{path}/content", content)
    # 409: an answer that was lost had completed it.
    answer.expect(_OK, _CONFLICT)
    _check(await user.get(path))


async def _relayed(user: User, path: str, content: memoryview) -> Answer:
    async with Line.to(user.port) as service:
        try:
            return await service.ask("PUT", path, content, headers=user.known, asks_first=True)
        finally:
            user.passage.sent += service.sent


async def old_way(port: int, _token: str, content: memoryview, passage: Passage) -> None:
    """A form, as a page sends it. Taken is not yet stored: a thread sends it on."""
    form = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    async with Line.to(port) as service:
        pieces = (_FORM_HEAD, content, _FORM_END)
        (await service.ask("POST", "/upload", *pieces, headers=form)).expect(_ACCEPTED)
        passage.sent += service.sent


async def _pause(attempt: int) -> None:
    await asyncio.sleep(min(_LONGEST_PAUSE, 2**attempt) * random.random())  # noqa: S311 - jitter


def _check(upload: Any) -> None:
    if upload["status"] != "completed":
        raise RuntimeError(f"the upload is {upload['status']}")
