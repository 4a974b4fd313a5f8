"""Argon2id, off the event loop, a bounded number at once.

Each hash takes `memory_kib` and a core for tens of milliseconds, so both the threads and the
queue before them are bounded: beyond, OverloadedError at once instead of minutes later.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

import errors

MIN_LENGTH = 8
MAX_LENGTH = 1024
"""In characters. The longest bounds the work that a stranger can ask for."""

_T = TypeVar("_T")


class Passwords:
    """Open until `close`, which waits for the hashes in hand."""

    def __init__(
        self, *, memory_kib: int, iterations: int, concurrency: int, max_waiting: int = 64
    ) -> None:
        self._hasher = PasswordHasher(time_cost=iterations, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="argon2")
        self._limit = concurrency + max_waiting
        self._in_hand = 0
        self._nobodys_hash = self._hasher.hash(secrets.token_bytes(32))

    async def hash(self, password: str) -> str:
        """InvalidRequestError for a length out of bounds."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise errors.InvalidRequestError(
                f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters"
            )
        return await self._off_the_loop(lambda: self._hasher.hash(_encoded(password)))

    async def verify(self, password_hash: str, password: str) -> bool:
        if len(password) > MAX_LENGTH:
            return False
        return await self._off_the_loop(lambda: self._matches(password_hash, password))

    async def verify_nobodys(self, password: str) -> bool:
        """Always False, and as slow as for a user who exists."""
        await self.verify(self._nobodys_hash, password)
        return False

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _encoded(password))
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _off_the_loop(self, work: Callable[[], _T]) -> _T:
        if self._in_hand >= self._limit:
            raise errors.OverloadedError("Too many logins at once", retry_after=1)
        self._in_hand += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._in_hand -= 1


def _encoded(password: str) -> bytes:
    """NFKC, as NIST SP 800-63B asks: one password, whichever keyboard it is typed on.
    Lone surrogates, which JSON can carry, are bytes like any other.
    """
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
