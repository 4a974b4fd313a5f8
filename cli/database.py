"""`uploadgate db upgrade`."""

import asyncio

import typer

from cli.configuration import MANAGING, load_or_exit
from cli.managing import tell_waits
from cli.outcome import FAILED
from errors import UploadgateError
from settings import Settings
from state import schema
from wiring import opened_database

_NEWER = (
    "Nothing to do: a newer version has upgraded the schema, and this one works with it as well."
)


def upgrade() -> None:
    settings = load_or_exit(MANAGING)
    try:
        found = asyncio.run(_upgrade(settings))
    except UploadgateError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from None
    typer.echo(_NEWER if found is schema.Standing.AHEAD else "The schema is up to date.")


async def _upgrade(settings: Settings) -> schema.Standing:
    async with opened_database(settings) as database:
        await schema.upgrade(database, tell=tell_waits)
        return await schema.standing(database)
