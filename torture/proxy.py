"""A TCP door on loopback in front of any upstream, which can be told to do what networks do."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from enum import Enum
from pathlib import Path

from torture.link import CHUNK, Link, close
from torture.tripwire import Footsteps, Tripwire

Upstream = tuple[str, int] | Path
"""Host and port, or the path of a Unix socket."""
Answers = Callable[[bytes], bytes | None]
"""What the proxy answers itself to what a client sent; None: the upstream shall answer."""

_CONNECT_SECONDS = 30.0
_MOST_GARBAGE = 512


class Fault(Enum):
    """CUT and RESET end what is open and whatever is opened, cleanly or by RST. DROP swallows all
    and never answers. GARBAGE answers with bytes that mean nothing. HOLD keeps all bytes waiting.
    """

    NONE = "none"
    CUT = "cut"
    RESET = "reset"
    DROP = "drop"
    GARBAGE = "garbage"
    HOLD = "hold"


class FaultProxy:
    """Of protocols in which the client speaks first. Holds one chunk a direction at most: a side
    that takes nothing holds up the other by TCP itself.
    """

    def __init__(self, upstream: Upstream, *, seed: int = 0) -> None:
        self.port = 0
        self.delay = 0.0
        """Seconds that whatever a client sends waits before it goes on."""
        self.answers: Answers | None = None
        self.met = 0
        """How often a fault, or an answer of the proxy's own, was met with."""
        self._upstream = upstream
        self._random = random.Random(seed)  # noqa: S311 - garbage, no secret
        self._fault = Fault.NONE
        self._open = asyncio.Event()
        self._open.set()
        self._wires: list[Tripwire] = []
        self._links: set[Link] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def serving(cls, upstream: Upstream, *, seed: int = 0) -> AsyncIterator["FaultProxy"]:
        proxy = cls(upstream, seed=seed)
        server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0, limit=CHUNK)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            await proxy.discard()
            await server.wait_closed()

    async def set(self, fault: Fault) -> None:
        """From now on, for what is open and for what will be."""
        self._fault = fault
        if fault is Fault.HOLD:
            self._open.clear()
        else:
            self._open.set()
        if fault in (Fault.CUT, Fault.RESET):
            await self.discard(reset=fault is Fault.RESET)

    async def heal(self) -> None:
        self.delay = 0.0
        self.answers = None
        await self.set(Fault.NONE)

    def arm(self, *patterns: bytes, answer: bytes | None = None) -> Tripwire:
        """Once it trips, every byte of every connection waits, as with HOLD."""
        wire = Tripwire(patterns, answer)
        self._wires.append(wire)
        return wire

    async def discard(self, *, reset: bool = False) -> None:
        """Ends every connection, and what waited in one never arrives. No tripwire is left. What
        was held by one passes again.
        """
        self._wires.clear()
        links = list(self._links)
        for link in links:
            link.end(reset=reset)
        await asyncio.gather(*(link.task for link in links), return_exceptions=True)
        if self._fault is not Fault.HOLD:
            self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault in (Fault.CUT, Fault.RESET):
            self.met += 1
            close(writer, reset=self._fault is Fault.RESET)
            return
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a callback of a server runs in a task
        link = Link(self, reader, writer, task)
        self._links.add(link)
        try:
            await link.run()
        except (OSError, TimeoutError):
            link.close(reset=True)
        except asyncio.CancelledError:
            pass  # by `end`, which has closed it
        finally:
            link.close()
            self._links.discard(link)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(_CONNECT_SECONDS):
            if isinstance(self._upstream, Path):
                return await asyncio.open_unix_connection(str(self._upstream), limit=CHUNK)
            return await asyncio.open_connection(*self._upstream, limit=CHUNK)

    def instead(self, chunk: bytes) -> bytes | None:
        answer = self._instead(chunk)
        self.met += answer is not None
        return answer

    def _instead(self, chunk: bytes) -> bytes | None:
        if self._fault is Fault.DROP:
            return b""
        if self._fault is Fault.GARBAGE:
            return self._random.randbytes(self._random.randint(1, _MOST_GARBAGE))
        return None if self.answers is None else self.answers(chunk)

    @property
    def swallows(self) -> bool:
        return self._fault in (Fault.DROP, Fault.GARBAGE)

    async def passage(self) -> None:
        await self._open.wait()

    def sent(self, steps: dict[Tripwire, Footsteps], chunk: bytes) -> None:
        self._trip(steps, lambda footsteps: footsteps.sent(chunk))

    def answered(self, steps: dict[Tripwire, Footsteps], chunk: bytes) -> None:
        self._trip(steps, lambda footsteps: footsteps.answered(chunk))

    def _trip(self, steps: dict[Tripwire, Footsteps], touches: Callable[[Footsteps], bool]) -> None:
        """The first connection to reach a wire trips it; everything stops at once."""
        for wire in self._wires:
            footsteps = steps.setdefault(wire, Footsteps(wire))
            if not wire.tripped and touches(footsteps):
                self._open.clear()
                wire.trip()
