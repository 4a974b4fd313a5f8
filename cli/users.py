"""`uploadgate user …`: the service's own users, managed where its database can be reached."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

import typer

from auth.accounts import Accounts
from auth.callers import ADMIN, UPLOADS
from cli.configuration import load_or_exit
from errors import UploadgateError
from settings import Settings
from state import schema
from wiring import build_accounts, opened_database

users_app = typer.Typer(name="user", help="Manage the service's own users.", no_args_is_help=True)

_T = TypeVar("_T")


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Accounts]:
    """The accounts alone, without the service around them."""
    async with opened_database(settings) as database:
        if settings.database.migrate_on_start:
            await schema.upgrade(database)
        accounts = build_accounts(settings, database)
        try:
            yield accounts
        finally:
            accounts.close()


async def ensure_user(
    settings: Settings, username: str, password: str, *, admin: bool = False
) -> str:
    """The id of the user of that name, added if missing."""
    async with opened(settings) as accounts:
        return (await accounts.ensure_user(username, password, _scopes(admin))).id


@users_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name to log in with.")],
    admin: Annotated[bool, typer.Option("--admin", help="Give the admin scope too.")] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Add a user. Asks for the password twice, or reads it from standard input."""
    password = _password(from_stdin=password_stdin)
    user = _run(lambda accounts: accounts.add_user(name, password, _scopes(admin)))
    typer.echo(f"Added {user.username} ({user.id}) with {' '.join(sorted(user.scopes))}")


@users_app.command("list")
def list_users() -> None:
    """List the users: id, scopes, since when, disabled or not, name."""
    for user in _run(lambda accounts: accounts.list_users()):
        standing = "enabled" if user.disabled_at is None else "disabled"
        scopes = ",".join(sorted(user.scopes))
        typer.echo(
            f"{user.id}  {scopes:<13}  {user.created_at:%Y-%m-%d}  {standing:<8}  {user.username}"
        )


@users_app.command("disable")
def disable(name: Annotated[str, typer.Argument(help="Name of the user.")]) -> None:
    """Shut a user out and end all their logins."""
    _run(lambda accounts: accounts.disable_user(name))
    typer.echo(f"Disabled {name}. Their access tokens end within seconds.")


def _scopes(admin: bool) -> frozenset[str]:
    return frozenset({UPLOADS, ADMIN} if admin else {UPLOADS})


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not _is_terminal():
        raise typer.BadParameter("no terminal to ask at: use --password-stdin")
    answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _run(work: Callable[[Accounts], Awaitable[_T]]) -> _T:
    async def with_accounts() -> _T:
        async with opened(settings) as accounts:
            return await work(accounts)

    settings = load_or_exit()
    try:
        return asyncio.run(with_accounts())
    except UploadgateError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
