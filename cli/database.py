"""`uploadgate db upgrade`."""

import asyncio

import typer

from cli.configuration import MANAGING, load_or_exit
from cli.outcome import FAILED
from errors import UploadgateError
from settings import Settings
from state import schema
from wiring import opened_database


def upgrade() -> None:
    settings = load_or_exit(MANAGING)
    try:
        asyncio.run(_upgrade(settings))
    except UploadgateError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from None
    typer.echo("The schema is up to date.")


async def _upgrade(settings: Settings) -> None:
    async with opened_database(settings) as database:
        await schema.upgrade(database)
