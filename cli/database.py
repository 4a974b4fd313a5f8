"""`uploadgate db upgrade`."""

import asyncio

import typer

from cli.configuration import load
from settings import Settings
from state import schema
from state.database import Database


def upgrade() -> None:
    asyncio.run(_upgrade(load()))
    typer.echo("The schema is up to date.")


async def _upgrade(settings: Settings) -> None:
    url = settings.database.url.get_secret_value()
    async with Database.opened(url, timeout_seconds=settings.database.timeout_seconds) as database:
        await schema.upgrade(database)
