"""Which streams are open on this replica, and how they are told that there is something to see."""

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

from errors import OverloadedError, TooManyStreamsError, UnavailableError


class EndReason(StrEnum):
    """What a client is told when a stream ends that it has not left."""

    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a word, no token
    SERVER_GOING = "server_going"


class Listener(Protocol):
    """An open stream. Neither call waits."""

    def wake(self) -> None:
        """There may be news: it looks as soon as it can."""
        ...

    def end(self, reason: EndReason) -> None: ...


class Hub:
    """One a replica. `max_streams` at once, and `max_per_user` of one user."""

    def __init__(self, *, max_streams: int, max_per_user: int) -> None:
        self._max_streams = max_streams
        self._max_per_user = max_per_user
        self._open: dict[str, set[Listener]] = {}
        self._count = 0
        self._closed = False

    def __len__(self) -> int:
        return self._count

    @contextlib.contextmanager
    def holding(self, user_id: str, listener: Listener) -> Iterator[None]:
        """A place for as long as the block. Raises TooManyStreamsError, OverloadedError, or
        UnavailableError once the replica is going.
        """
        self._check(user_id)
        self._open.setdefault(user_id, set()).add(listener)
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            theirs = self._open[user_id]
            theirs.discard(listener)
            if not theirs:
                del self._open[user_id]

    def _check(self, user_id: str) -> None:
        if self._closed:
            raise UnavailableError("This replica is about to stop", retry_after=1)
        if self._count >= self._max_streams:
            raise OverloadedError("Too many event streams are open here", retry_after=2)
        if len(self._open.get(user_id, ())) >= self._max_per_user:
            raise TooManyStreamsError(f"One user has {self._max_per_user} streams at once at most")

    def wake(self, user_id: str) -> None:
        for listener in self._open.get(user_id, ()):
            listener.wake()

    def wake_all(self) -> None:
        """After news may have been lost."""
        for listeners in self._open.values():
            for listener in listeners:
                listener.wake()

    def close(self) -> None:
        """Ends all streams, and lets none begin; for good."""
        self._closed = True
        for listeners in self._open.values():
            for listener in listeners:
                listener.end(EndReason.SERVER_GOING)
