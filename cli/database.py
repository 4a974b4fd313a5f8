"""`uploadgate db upgrade`."""

import asyncio

import typer

from cli.configuration import load_or_exit
from settings import Settings
from state import schema
from wiring import opened_database


def upgrade() -> None:
    asyncio.run(_upgrade(load_or_exit()))
    typer.echo("The schema is up to date.")


async def _upgrade(settings: Settings) -> None:
    async with opened_database(settings) as database:
        await schema.upgrade(database)
