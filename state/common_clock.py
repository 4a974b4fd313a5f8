"""The time that replicas share, which is their database's.

What one replica writes down (leases, what is due, when a record was last changed) another one
compares with its clock; and machines differ by minutes where nobody sets their clocks.
"""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from errors import UnavailableError
from service.clock import Clock, utc_now

if TYPE_CHECKING:
    from state.database import Database

_LOOKS = 5
_LOOKS_SECONDS = 1.0
_MEASURE_SECONDS = 10.0
_EVERY_SECONDS = 30.0
_AGAIN_SECONDS = 2.0
# Leases are seconds: less is not worth a clock that jumps.
_NOTHING = timedelta(seconds=0.25)
_WORTH_TELLING = timedelta(seconds=1)
_NOW = select(func.clock_timestamp())
_log = structlog.get_logger("uploadgate")


@dataclass(frozen=True, slots=True)
class _Look:
    """`offset` is right to half of what the question `took`."""

    offset: timedelta
    took: timedelta


class CommonClock:
    """A service.clock.Clock: the local clock, put right by what was measured last. With SQLite it
    is the local clock itself, as there is one process.
    """

    def __init__(self, database: "Database", *, local: Clock = utc_now) -> None:
        self._database = database
        self._local = local
        self._offset = timedelta()

    def __call__(self) -> datetime:
        return self._local() + self._offset

    async def first(self) -> None:
        """Returns once it is measured, however long the database is away."""
        measured = await self._measured()
        while not measured:
            await asyncio.sleep(_jittered(_AGAIN_SECONDS))
            measured = await self._measured()

    async def run(self) -> None:
        """Measures again and again. What cannot be measured stays as it was."""
        while self._database.is_postgres:
            await asyncio.sleep(_jittered(_EVERY_SECONDS))
            await self._measured()

    async def _measured(self) -> bool:
        before = self._offset
        try:
            await self.measure()
        except UnavailableError:
            _log.warning("clock.not_measured")
            return False
        except Exception:  # noqa: BLE001 - told, and tried again: what was measured stands
            _log.exception("clock.not_measured")
            return False
        if self._offset != before:
            _tell(before, self._offset)
        return True

    async def measure(self) -> None:
        """Tells the log nothing. Raises UnavailableError."""
        if not self._database.is_postgres:
            return
        try:
            async with (
                asyncio.timeout(_MEASURE_SECONDS),
                self._database.single() as connection,
            ):
                self._believe(await self._best_look(connection))
        except TimeoutError as error:
            raise UnavailableError from error

    async def _best_look(self, connection: AsyncConnection) -> _Look:
        looks: list[_Look] = []
        end = time.monotonic() + _LOOKS_SECONDS
        while not looks or (len(looks) < _LOOKS and time.monotonic() < end):
            looks.append(await self._look(connection))
        return min(looks, key=lambda look: look.took)

    async def _look(self, connection: AsyncConnection) -> _Look:
        here, started = self._local(), time.monotonic()
        there = (await connection.execute(_NOW)).scalar_one()
        took = timedelta(seconds=time.monotonic() - started)
        return _Look(there - here - took / 2, took)

    def _believe(self, look: _Look) -> None:
        """A slow answer says little, and what it does not say changes nothing."""
        if abs(look.offset - self._offset) <= _NOTHING + look.took / 2:
            return
        self._offset = look.offset if abs(look.offset) > _NOTHING else timedelta()


def _tell(before: timedelta, now: timedelta) -> None:
    if abs(now) > _WORTH_TELLING:
        _log.warning(
            "clock.differs",
            seconds=round(-now.total_seconds(), 1),
            hint="this machine's clock is so many seconds ahead of the database's, which counts "
            "between replicas: let NTP set both",
        )
    elif abs(before) > _WORTH_TELLING:
        _log.info("clock.agrees")


def _jittered(seconds: float) -> float:
    return seconds * (0.75 + random.random() / 2)  # noqa: S311 - no secret
