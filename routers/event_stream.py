"""An event stream on the wire, as the HTML standard's chapter on server-sent events has it.

FastAPI's own streaming of events is not used, only its framing: its heartbeat comes every 15 s
whatever is set, it reads ahead of the client, it waits without bound for a client that takes
nothing, and an answer has begun before the route's first step, which may still refuse.
"""

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from fastapi.sse import format_sse_event
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from service.delivery.hub import EndReason
from service.delivery.ports import FeedEvent
from service.delivery.streams import End, Heartbeat, Item, Ready, Reset, Stream, StreamTimes

_log = structlog.get_logger("uploadgate.events")
_RETRY_MILLISECONDS = 3000
# Where the server offers it: closes the connection without waiting for what it has not taken.
ABORT = "uploadgate.abort"
# Where it offers that: how long a client may be out of reach. What a stream sends fits into the
# connection's buffers for many minutes, so sending does not show it.
PATIENCE = "uploadgate.patience"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class _TakesNothingError(Exception):
    """The client has taken nothing for too long."""


class EventStream(StreamingResponse):
    """Opens the stream before the answer begins, so that a refusal is a problem like any other."""

    media_type = "text/event-stream"

    def __init__(self, opening: AbstractAsyncContextManager[Stream], times: StreamTimes) -> None:
        super().__init__((), headers=_HEADERS)
        self._opening = opening
        self._times = times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._opening as stream:
            if limit := scope.get("extensions", {}).get(PATIENCE):
                limit(self._times.send)
            leaving = asyncio.create_task(_wait_for_leave(receive))
            leaving.add_done_callback(lambda _: stream.leave())
            try:
                await self._tell(stream, send)
            except _TakesNothingError:
                _log.info("stream.cut_off", after_seconds=self._times.send)
                await _cut(scope, leaving)
            finally:
                leaving.cancel()
                await asyncio.wait([leaving])

    async def _tell(self, stream: Stream, send: Send) -> None:
        start: Message = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await self._send(send, start)
        while items := await stream.next():
            await self._send(send, _body(self._frames(items), more=True))
        await self._send(send, _body(b"", more=False))

    async def _send(self, send: Send, message: Message) -> None:
        try:
            async with asyncio.timeout(self._times.send):
                await send(message)
        except TimeoutError:
            raise _TakesNothingError from None

    def _frames(self, items: Sequence[Item]) -> bytes:
        return b"".join(self._frame(item) for item in items)

    def _frame(self, item: Item) -> bytes:
        match item:
            case FeedEvent(sequence, kind, payload):
                return format_sse_event(id=str(sequence), event=kind, data_str=payload)
            case Heartbeat():
                return format_sse_event(comment="")
            case Ready(position, sequence):
                data = {"sequence": sequence, "heartbeat_seconds": self._times.heartbeat}
                return _frame("ready", data, id=str(position), retry=_RETRY_MILLISECONDS)
            case Reset(position):
                return _frame("reset", {"sequence": position}, id=str(position))
            case End(reason):
                return _frame("end", {"reason": reason.value}, retry=_retry_after(reason))


def _frame(event: str, data: dict[str, Any], **fields: Any) -> bytes:
    return format_sse_event(event=event, data_str=json.dumps(data, separators=(",", ":")), **fields)


def _retry_after(reason: EndReason) -> int | None:
    """All streams of a replica that goes end at once; they must not all come back at once."""
    if reason is EndReason.SERVER_GOING:
        return random.randint(1000, 2 * _RETRY_MILLISECONDS)  # noqa: S311 - jitter
    return None


def _body(content: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def _wait_for_leave(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cut(scope: Scope, leaving: "asyncio.Task[None]") -> None:
    abort = scope.get("extensions", {}).get(ABORT)
    if abort is None:
        raise ClientDisconnect  # half an answer is out: the server closes the connection
    abort()
    await asyncio.wait([leaving])
