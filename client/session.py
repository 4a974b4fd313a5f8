"""A login kept on disk between runs, and shared by processes that run at once.

The service takes a refresh token that comes twice for a stolen one and revokes the login. So
whoever renews holds a lock and looks first whether another process has just done it.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from client.filelock import locked
from client.logins import Logins
from client.problems import ApiError, SessionError
from client.wire import Tokens

# Longer than one bounded refresh call with all its time-outs.
LOCK_SECONDS = 90
_EARLY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """What the file holds. Times are seconds since the epoch, by this machine's clock."""

    url: str
    username: str
    access_token: str = field(repr=False)
    access_expires_at: float
    refresh_token: str = field(repr=False)
    refresh_expires_at: float

    @classmethod
    def of(cls, url: str, username: str, tokens: Tokens, now: float) -> "StoredLogin":
        return cls(
            url,
            username,
            tokens.access_token,
            now + tokens.expires_in,
            tokens.refresh_token,
            now + tokens.refresh_expires_in,
        )


def default_path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME")
    base = Path(home) if home else Path.home() / ".config"
    return base / "uploadgate" / "session.json"


class SessionFile:
    """One login in one file that only its owner may read, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lock_path(self) -> Path:
        return self.path.with_name(self.path.name + ".lock")

    def load(self) -> StoredLogin | None:
        try:
            return StoredLogin(**json.loads(self.path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError):
            raise SessionError(f"{self.path} cannot be read; log in again") from None

    def save(self, login: StoredLogin) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes it 0600 from the start: no moment in which others could read it.
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".session-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(asdict(login), stream)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


class StoredSession:
    """The token source of the command line: `client.api.TokenSource` on a session file.

    With a password at hand a login that has ended is simply made anew.
    """

    def __init__(
        self,
        file: SessionFile,
        logins: Logins,
        *,
        password: Callable[[StoredLogin], str | None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._logins = logins
        self._password = password
        self._clock = clock

    def access_token(self) -> str:
        login = self._stored()
        if login.access_expires_at - _EARLY_SECONDS > self._clock():
            return login.access_token
        return self.renew(login.access_token)

    def renew(self, refused: str) -> str:
        with locked(self._file.lock_path, timeout_seconds=LOCK_SECONDS):
            login = self._stored()
            if login.access_token != refused:
                return login.access_token  # another process or thread has done it meanwhile
            tokens = self._renewed(login)
            fresh = StoredLogin.of(login.url, login.username, tokens, self._clock())
            self._file.save(fresh)
            return fresh.access_token

    def _renewed(self, login: StoredLogin) -> Tokens:
        try:
            return self._logins.refresh(login.refresh_token)
        except ApiError as error:
            password = self._password(login)
            if error.code == "invalid_refresh_token" and password is not None:
                return self._logins.login(login.username, password)
            if error.code == "invalid_refresh_token":
                raise SessionError("the login has ended; log in again") from None
            raise

    def _stored(self) -> StoredLogin:
        login = self._file.load()
        if login is None:
            raise SessionError("there is no stored login; run `uploadgate login`")
        return login
