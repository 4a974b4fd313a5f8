"""Commands that manage: they work on the service's own database, and start nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import typer

from cli.configuration import MANAGING, REFUSED, load_or_exit
from cli.outcome import FAILED
from errors import UnavailableError, UploadgateError
from settings import Settings
from state import schema
from state.database import Database, sqlite_file
from wiring import opened_database

ON_THE_DATABASE = (
    "Works on the service's own database, whether the service runs or not: give it the "
    "UPLOADGATE_… variables that the service has, UPLOADGATE_DATABASE__URL above all."
)
_UPGRADE = "`uploadgate db upgrade`"
_OUTDATED = f"The database's schema is not up to date: run {_UPGRADE}"

_T = TypeVar("_T")


@asynccontextmanager
async def opened_current(settings: Settings) -> AsyncIterator[Database]:
    """With the schema up to date, and the replicas' time. Raises UnavailableError where it is not
    up to date, and may not be made so.
    """
    async with opened_database(settings) as database:
        if settings.database.migrate_on_start:
            await schema.upgrade(database, tell=tell_waits)
        elif not await schema.is_current(database):
            raise UnavailableError(_OUTDATED)
        await database.clock.measure()
        yield database


def tell_waits(reason: str) -> None:
    """On standard error: what a command gives may be read by a program."""
    typer.echo(f"{reason}. Trying again …", err=True)


def managed(work: Callable[[Settings], Awaitable[_T]], *, begins: bool = False) -> _T:
    """What `work` gives; what it refuses is told, and ends the command. A SQLite file that does not
    exist is most likely another than the service's, and is not made, unless `begins`.
    """

    async def working() -> _T:
        return await work(settings)

    settings = load_or_exit(MANAGING)
    _look_for_file(settings, begins=begins and settings.database.migrate_on_start)
    try:
        return asyncio.run(working())
    except UploadgateError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from None


def _look_for_file(settings: Settings, *, begins: bool) -> None:
    file = sqlite_file(settings.database.url.get_secret_value())
    if file is None or file.exists():
        return
    if begins and file.resolve().parent.is_dir():
        typer.echo(f"{file.resolve()} is made: there was no database.", err=True)
        return
    typer.echo(
        f"There is no database {file.resolve()}. Set UPLOADGATE_DATABASE__URL as the service has "
        f"it; a new one is made by `uploadgate serve` or {_UPGRADE}.",
        err=True,
    )
    raise typer.Exit(REFUSED)
