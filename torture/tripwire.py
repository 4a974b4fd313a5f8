"""Where everything is to stop: patterns that one connection sends, one after the other."""

import asyncio
from dataclasses import dataclass, field


@dataclass(eq=False)
class Tripwire:
    """Trips when one connection has sent all `patterns` in this order: what holds the last of them
    never reaches the upstream. With `answer` it does, and the wire trips when the upstream then
    answers that, which never reaches the client.
    """

    patterns: tuple[bytes, ...]
    answer: bytes | None = None
    _tripped: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def tripped(self) -> bool:
        return self._tripped.is_set()

    def trip(self) -> None:
        self._tripped.set()

    async def wait(self, seconds: float) -> bool:
        """Whether it tripped within that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._tripped.wait()
        except TimeoutError:
            return False
        return True


class Footsteps:
    """How far one connection has come towards one tripwire."""

    def __init__(self, wire: Tripwire) -> None:
        self._sent = _Trail(wire.patterns)
        self._answered = _Trail(() if wire.answer is None else (wire.answer,))

    def sent(self, chunk: bytes) -> bool:
        """Whether this was the last it took."""
        return self._sent.step(chunk) and self._answered.done

    def answered(self, chunk: bytes) -> bool:
        return self._sent.done and not self._answered.done and self._answered.step(chunk)


class _Trail:
    """Keeps no more of the past than a pattern that is cut in two needs."""

    def __init__(self, patterns: tuple[bytes, ...]) -> None:
        self._left = list(patterns)
        self._tail = b""

    @property
    def done(self) -> bool:
        return not self._left

    def step(self, chunk: bytes) -> bool:
        """Whether the last pattern has come by now."""
        seen = self._tail + chunk
        while self._left and (at := seen.find(self._left[0])) >= 0:
            seen = seen[at + len(self._left.pop(0)) :]
        longest = max(map(len, self._left), default=1)
        self._tail = seen[-(longest - 1) :] if longest > 1 else b""
        return self.done
