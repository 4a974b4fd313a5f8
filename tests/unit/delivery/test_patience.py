"""A connection is let go of at once, however an attempt ends: over TLS, a mere close takes long."""

import asyncio
import contextlib
from typing import Any

import pytest

from outgoing.patience import ImpatientResponse
from outgoing.sender import _take_leave


class Wire:
    """Stands for aiohttp's connection, its protocol and its transport in one."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.reading = asyncio.Event()
        self.told: list[str] = []
        self.transport = self.protocol = self

    async def read(self) -> Any:
        self.reading.set()
        if self.failure is not None:
            raise self.failure
        await asyncio.Event().wait()

    def abort(self) -> None:
        self.told.append("aborted")


class Response(ImpatientResponse):
    """Nothing of aiohttp's but its way of beginning."""

    def __init__(self, wire: Wire | None) -> None:
        self._transport = wire
        self._timer: Any = contextlib.nullcontext()

    def __del__(self, _warnings: Any = None) -> None:
        """What aiohttp's own looks at was never made."""

    def close(self) -> None:
        if self._transport is not None:
            self._transport.told.append("closed")


async def test_what_is_cancelled_before_the_answer_is_let_go_of() -> None:
    wire: Any = Wire()
    attempt = asyncio.create_task(Response(None).start(wire))
    await wire.reading.wait()
    attempt.cancel()
    await asyncio.wait([attempt])
    assert attempt.cancelled()
    assert wire.told == ["aborted"]
    assert vars(wire).get("read") is None


async def test_what_breaks_before_the_answer_is_let_go_of() -> None:
    wire: Any = Wire(OSError("broken"))
    with pytest.raises(OSError, match="broken"):
        await Response(None).start(wire)
    assert wire.told == ["aborted"]


async def test_the_loop_may_send_the_close_first() -> None:
    wire = Wire()
    asyncio.get_running_loop().call_soon(lambda: wire.told.append("loop"))
    await Response(wire).let_go()
    assert wire.told == ["closed", "loop", "aborted"]


async def test_what_is_cancelled_while_it_takes_leave_is_let_go_of() -> None:
    wire = Wire()
    leaving = asyncio.create_task(Response(wire).let_go())
    await asyncio.sleep(0)
    assert wire.told == ["closed"]
    leaving.cancel()
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    assert wire.told == ["closed", "aborted"]


async def test_an_answer_that_never_had_a_connection_has_nothing_to_let_go_of() -> None:
    await Response(None).let_go()


async def test_who_is_cancelled_while_the_answer_is_heard_out_lets_go_of_it() -> None:
    response = Response(wire := Wire())
    response.content = Content(wire)  # type: ignore[assignment]
    leaving = asyncio.create_task(_take_leave(response))
    await wire.reading.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    assert wire.told == ["closed", "aborted"]


class Content:
    """An answer of which nothing comes."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def readexactly(self, size: int) -> bytes:
        await self._wire.read()
        return b""
