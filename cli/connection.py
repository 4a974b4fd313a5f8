"""How a command gets to its service: by a stored login, or by what the environment says."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from client.api import Api
from client.filelock import locked
from client.http import HttpClient
from client.logins import Logins
from client.problems import SessionError
from client.session import LOCK_SECONDS, SessionFile, StoredLogin, StoredSession, default_path

SESSION_VARIABLE = "UPLOADGATE_SESSION"
SessionOption = Annotated[
    Path | None,
    typer.Option(
        "--session",
        envvar=SESSION_VARIABLE,
        help="File of the login; default ~/.config/uploadgate/session.json.",
    ),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which login the environment asks for; what it leaves out is taken as stored."""

    url: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of_environment(cls) -> "Wanted":
        found = (os.environ.get(f"UPLOADGATE_{name}") for name in ("URL", "USERNAME", "PASSWORD"))
        url, username, password = (value or None for value in found)
        return cls(url and url.rstrip("/"), username, password)

    def met_by(self, login: StoredLogin) -> bool:
        return self.url in (None, login.url) and self.username in (None, login.username)


@contextmanager
def connected(session: Path | None, wanted: Wanted | None = None) -> Iterator[Api]:
    """The API as the caller. Raises SessionError where nothing says who that is."""
    wanted = wanted or Wanted.of_environment()
    file = session_file(session)
    login = _login_for(file, wanted)
    with HttpClient(login.url) as http:
        tokens = StoredSession(file, Logins(http), password=lambda _: wanted.password)
        yield Api(http, tokens)


def session_file(session: Path | None) -> SessionFile:
    return SessionFile(session or default_path())


def log_in(file: SessionFile, url: str, username: str, password: str) -> StoredLogin:
    """Logs in and stores it, in place of what was there. The lock is the caller's matter."""
    with HttpClient(url) as http:
        tokens = Logins(http).login(username, password)
    login = StoredLogin.of(url.rstrip("/"), username, tokens, time.time())
    file.save(login)
    return login


def _login_for(file: SessionFile, wanted: Wanted) -> StoredLogin:
    login = file.load()
    if login is not None and wanted.met_by(login):
        return login
    if not (wanted.url and wanted.username and wanted.password):
        raise SessionError(_advice(login))
    with locked(file.lock_path, timeout_seconds=LOCK_SECONDS):
        login = file.load()  # another process may have logged in meanwhile
        if login is not None and wanted.met_by(login):
            return login
        return log_in(file, wanted.url, wanted.username, wanted.password)


def _advice(login: StoredLogin | None) -> str:
    how = "run `uploadgate login URL USERNAME`, or set UPLOADGATE_URL, _USERNAME and _PASSWORD"
    if login is None:
        return f"there is no stored login; {how}"
    return f"the stored login is {login.username}'s at {login.url}; {how}"
