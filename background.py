"""What runs beside the requests, for as long as the application lives."""

import asyncio
import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog

import state.schema
from errors import UnavailableError
from service.readiness import Readiness
from state.database import Database
from state.schema import Standing

Chore = Callable[[], Awaitable[object]]
"""Deletes what has served its time."""

Work = Callable[[], Coroutine[None, None, None]]
"""Runs until it is cancelled."""

_SCHEMA_RETRY_SECONDS = 2.0
_HOUSEKEEPING_SECONDS = 3600.0
_END_SECONDS = 15.0
_log = structlog.get_logger("uploadgate")


async def live(
    database: Database,
    *,
    migrate: bool,
    works: Sequence[Work],
    readiness: Readiness,
    chores: Sequence[Chore],
    who: Mapping[str, str],
    first: Chore | None = None,
) -> None:
    """Makes ready, `first` last of all, then runs all `works` and keeps house. `who` is told to the
    log.
    """
    await _make_schema_ready(database, migrate=migrate)
    if first is not None:
        await first()
    readiness.started()
    _log.info("ready", **who)
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work())
        group.create_task(_keep_house(chores))


async def _keep_house(chores: Sequence[Chore]) -> None:
    """Refreshes, Idempotency-Keys and tickets leave rows behind until their time is over."""
    while True:
        for chore in chores:
            try:
                await chore()
            except UnavailableError:
                _log.warning("database.unavailable")
            except Exception:  # noqa: BLE001 - a fault here must not end the completion beside it
                _log.exception("housekeeping.failed")
        await asyncio.sleep(_HOUSEKEEPING_SECONDS)


async def _make_schema_ready(database: Database, *, migrate: bool) -> None:
    """Unready rather than crashing while the database is away or waits to be migrated."""
    while True:
        try:
            if migrate:
                await state.schema.upgrade(database)
            found = await state.schema.standing(database)
            if found is not Standing.BEHIND:
                _tell_newer(found)
                return
            _log.warning("database.outdated", hint="run: uploadgate db upgrade")
        except UnavailableError as error:
            _log.warning("database.unavailable", reason=str(error))
        except Exception:  # noqa: BLE001 - read-only, locked, …: told, and tried again
            _log.exception("database.not_ready")
        await asyncio.sleep(_SCHEMA_RETRY_SECONDS * (0.5 + random.random()))  # noqa: S311


def _tell_newer(found: Standing) -> None:
    if found is Standing.AHEAD:
        _log.warning(
            "database.newer",
            hint="a newer version has upgraded the schema, to which it only adds: this one goes on",
        )


@asynccontextmanager
async def running(
    work: Coroutine[None, None, None], readiness: Readiness
) -> AsyncIterator[asyncio.Task[None]]:
    """One background task for as long as the block; its failure is told, not swallowed."""
    task = asyncio.create_task(work)
    task.add_done_callback(functools.partial(_tell_failure, readiness))
    try:
        yield task
    finally:
        task.cancel()
        # How it ended has been told. It is idle or in calls that have time-outs.
        _, hanging = await asyncio.wait([task], timeout=_END_SECONDS)
        if hanging:
            _log.error("background work does not end")


def _tell_failure(readiness: Readiness, task: "asyncio.Task[None]") -> None:
    """A replica that completes nothing any more should get no traffic: it is unready for good."""
    if not task.cancelled() and task.exception() is not None:
        readiness.fail()
        _log.critical("background work ended", exc_info=task.exception())
