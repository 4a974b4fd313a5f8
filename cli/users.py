"""`uploadgate user …`: the service's own users, managed where its database can be reached."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

import typer

from auth.accounts import Accounts
from auth.callers import ADMIN, UPLOADS
from cli.managing import ON_THE_DATABASE, managed, opened_current
from settings import Settings
from wiring import build_accounts

users_app = typer.Typer(
    name="user",
    help=f"Manage the service's own users.\n\n{ON_THE_DATABASE}",
    no_args_is_help=True,
    add_completion=False,
)

_T = TypeVar("_T")


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Accounts]:
    """The accounts alone, without the service around them."""
    async with opened_current(settings) as database:
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
    """Add a user. Asks for the password twice, or reads it from standard input. The first one may
    be added before the service has ever run: then the database is made.
    """
    password = _password(from_stdin=password_stdin)
    user = _run(lambda accounts: accounts.add_user(name, password, _scopes(admin)), begins=True)
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


def _run(work: Callable[[Accounts], Awaitable[_T]], *, begins: bool = False) -> _T:
    async def with_accounts(settings: Settings) -> _T:
        async with opened(settings) as accounts:
            return await work(accounts)

    return managed(with_accounts, begins=begins)
