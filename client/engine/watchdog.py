"""Ends what stands still: a time-out that begins anew whenever something moves."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self


class Watchdog:
    """Raises TimeoutError when nothing has moved for `seconds`. For one request."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout: asyncio.Timeout | None = None

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Something has moved, and now we are the ones who hold it up; then it begins anew."""
        self._reschedule(None)
        try:
            yield
        finally:
            self.moved()

    def moved(self) -> None:
        """It begins anew."""
        self._reschedule(asyncio.get_running_loop().time() + self._seconds)

    async def __aenter__(self) -> Self:
        self._timeout = asyncio.timeout(self._seconds)
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        timeout, self._timeout = self._timeout, None
        if timeout is not None:
            await timeout.__aexit__(kind, error, trace)

    def _reschedule(self, when: float | None) -> None:
        # A request's body is written by a task of its own, which may outlive it a little.
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(when)
