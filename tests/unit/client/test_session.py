import stat
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from client.filelock import locked
from client.logins import Logins
from client.problems import ApiError, SessionError
from client.session import SessionFile, StoredLogin, StoredSession, default_path
from tests.unit.client.fakes import Handler, HttpFor


class FakeService:
    """Rotates refresh tokens, and revokes the login when one comes twice, as the real one."""

    def __init__(self) -> None:
        self.current = "refresh-0"
        self.spent: set[str] = set()
        self.refreshes = 0
        self.passwords: list[str] = []

    def __call__(self, request: httpx.Request) -> Any:
        body = httpx.Response(200, content=request.content).json()
        if request.url.path == "/v1/auth/login":
            self.passwords.append(body["password"])
            return self._pair("fresh")
        given = body["refresh_token"]
        if given in self.spent or given != self.current:
            problem = {"code": "invalid_refresh_token", "title": "no", "retry_mode": "fatal"}
            return httpx.Response(401, json=problem)
        self.refreshes += 1
        self.spent.add(given)
        self.current = f"refresh-{self.refreshes}"
        return self._pair(str(self.refreshes))

    def _pair(self, suffix: str) -> Any:
        return httpx.Response(
            200,
            json={
                "access_token": f"access-{suffix}",
                "token_type": "Bearer",
                "expires_in": 900,
                "refresh_token": self.current,
                "refresh_expires_in": 86_400,
            },
        )


@pytest.fixture
def service() -> Any:
    return FakeService()


@pytest.fixture
def file(tmp_path: Path) -> Any:
    return SessionFile(tmp_path / "deep" / "session.json")


def _login(expires_at: float = 1000.0) -> Any:
    return StoredLogin("http://service.test", "ada", "access-0", expires_at, "refresh-0", 9e9)


def _session(
    file: SessionFile, http_for: HttpFor, service: Handler, *, now: float = 0.0, **more: Any
) -> Any:
    return StoredSession(file, Logins(http_for(service)), clock=lambda: now, **more)


def test_only_the_owner_may_read_the_file_and_nothing_else_is_left(file: SessionFile) -> None:
    file.save(_login())
    file.save(_login())
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in file.path.parent.iterdir()] == ["session.json"]
    assert file.load() == _login()


def test_secrets_stay_out_of_the_repr() -> None:
    assert "access-0" not in repr(_login())
    assert "refresh-0" not in repr(_login())


def test_a_token_that_is_still_good_costs_no_call(
    file: SessionFile, http_for: HttpFor, service: FakeService
) -> None:
    file.save(_login())
    assert _session(file, http_for, service).access_token() == "access-0"
    assert service.refreshes == 0


def test_a_token_about_to_expire_is_renewed_and_stored(
    file: SessionFile, http_for: HttpFor, service: FakeService
) -> None:
    file.save(_login(expires_at=20))
    assert _session(file, http_for, service).access_token() == "access-1"
    stored = file.load()
    assert stored is not None
    assert (stored.refresh_token, stored.access_expires_at) == ("refresh-1", 900)


def test_two_processes_never_send_one_refresh_token_twice(
    file: SessionFile, http_for: HttpFor, service: FakeService
) -> None:
    file.save(_login(expires_at=0))
    start = threading.Barrier(4)
    found = []

    def run() -> None:
        session = _session(file, http_for, service)
        start.wait()
        found.append(session.renew("access-0"))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["access-1"] * 4
    assert service.refreshes == 1


def test_a_login_that_has_ended_says_so(
    file: SessionFile, http_for: HttpFor, service: FakeService
) -> None:
    service.spent.add("refresh-0")
    file.save(_login(expires_at=0))
    with pytest.raises(SessionError, match="log in again"):
        _session(file, http_for, service).access_token()


def test_a_login_that_has_ended_is_made_anew_with_a_password(
    file: SessionFile, http_for: HttpFor, service: FakeService
) -> None:
    service.spent.add("refresh-0")
    file.save(_login(expires_at=0))
    session = _session(file, http_for, service, password=lambda login: f"of-{login.username}")
    assert session.access_token() == "access-fresh"
    assert service.passwords == ["of-ada"]


def test_another_failure_keeps_the_stored_login(file: SessionFile, http_for: HttpFor) -> None:
    file.save(_login(expires_at=0))
    down = httpx.Response(503, json={"code": "unavailable", "title": "down", "retry_mode": "wait"})
    with pytest.raises(ApiError):
        _session(file, http_for, lambda _: down).access_token()
    assert file.load() == _login(expires_at=0)


def test_a_damaged_file_is_told_as_such(file: SessionFile) -> None:
    file.path.parent.mkdir()
    file.path.write_text('{"url": 1')
    with pytest.raises(SessionError, match="log in again"):
        file.load()


def test_a_lock_held_elsewhere_is_not_waited_for_forever(tmp_path: Path) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    path = tmp_path / "lock"
    with (
        locked(path, timeout_seconds=1),
        pytest.raises(SessionError, match="held by another"),
        locked(path, timeout_seconds=1, clock=lambda: now[0], sleep=sleep),
    ):
        pass
    assert 1 <= now[0] < 2


def test_the_default_path_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_path() == tmp_path / "uploadgate" / "session.json"
