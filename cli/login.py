"""`uploadgate login` and `logout`."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import typer

from cli.connection import log_in, session_file
from client.filelock import locked
from client.http import HttpClient
from client.logins import Logins
from client.session import LOCK_SECONDS

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def run(url: str, username: str, session: Path | None, *, password_stdin: bool) -> None:
    _check(url)
    password = _password(from_stdin=password_stdin)
    file = session_file(session)
    with locked(file.lock_path, timeout_seconds=LOCK_SECONDS):
        log_in(file, url, username, password)
    typer.echo(f"Logged in as {username} at {url}; kept in {file.path}")


def end(session: Path | None) -> None:
    file = session_file(session)
    with locked(file.lock_path, timeout_seconds=LOCK_SECONDS):
        login = file.load()
        if login is None:
            typer.echo("There is no stored login.")
            return
        with HttpClient(login.url) as http:
            Logins(http).logout(login.refresh_token)
        file.remove()
    typer.echo(f"Logged out {login.username} at {login.url}")


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise typer.BadParameter(f"{url} is not an http(s) address")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        typer.echo("Warning: over http, the password can be read on the way.", err=True)


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter("no terminal to ask at: use --password-stdin")
    answer: str = typer.prompt("Password", hide_input=True)
    return answer
