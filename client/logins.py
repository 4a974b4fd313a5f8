"""The calls that need no access token: they make one."""

from client.http import HttpClient
from client.retries import Repeat
from client.wire import Tokens


class Logins:
    """Logging in and out. Rotation is never repeated once sent: the service takes a refresh
    token that comes twice for a stolen one and revokes the whole login.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def login(self, username: str, password: str) -> Tokens:
        """Raises ApiError `invalid_credentials`, `too_many_attempts`."""
        body = {"username": username, "password": password}
        return Tokens.read(
            self._http.call("POST", "/v1/auth/login", json=body, repeat=Repeat.UNSENT)
        )

    def refresh(self, refresh_token: str) -> Tokens:
        """Raises ApiError `invalid_refresh_token`."""
        body = {"refresh_token": refresh_token}
        return Tokens.read(
            self._http.call("POST", "/v1/auth/refresh", json=body, repeat=Repeat.UNSENT)
        )

    def logout(self, refresh_token: str) -> None:
        body = {"refresh_token": refresh_token}
        self._http.call("POST", "/v1/auth/logout", json=body)
