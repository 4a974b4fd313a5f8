import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cli.connection import Wanted, connected, session_file
from cli.main import main
from client.problems import SessionError
from client.session import StoredLogin


class FakeService(ThreadingHTTPServer):
    """Logs everybody in, and shows them that they are."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Service)
        self.logins = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Service(BaseHTTPRequestHandler):
    server: FakeService

    def log_message(self, *_: object) -> None:
        return

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.logins += 1
        self._answer(
            '{"access_token":"a","expires_in":900,"refresh_token":"r","refresh_expires_in":9000}'
        )

    def do_GET(self) -> None:
        self._answer('{"username":"ada"}')

    def _answer(self, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


@pytest.fixture
def service() -> Iterator[FakeService]:
    server = FakeService()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return tmp_path / "session.json"


def _stored(url: str, username: str = "ada") -> StoredLogin:
    return StoredLogin(url, username, "a", 9e12, "r", 9e12)


def test_the_environments_login_is_made_once_and_kept(service: FakeService, session: Path) -> None:
    wanted = Wanted(service.url, "ada", "password")
    for _ in range(2):
        with connected(session, wanted) as api:
            assert api.me()["username"] == "ada"
    assert service.logins == 1


def test_a_stored_login_needs_nothing_from_the_environment(
    service: FakeService, session: Path
) -> None:
    session_file(session).save(_stored(service.url))
    with connected(session, Wanted()) as api:
        assert api.me()["username"] == "ada"
    assert service.logins == 0


def test_the_environments_login_replaces_another_ones(service: FakeService, session: Path) -> None:
    session_file(session).save(_stored("http://127.0.0.1:1", "bob"))
    with connected(session, Wanted(service.url, "ada", "password")) as api:
        api.me()
    kept = session_file(session).load()
    assert kept is not None
    assert (kept.url, kept.username) == (service.url, "ada")


def test_anothers_login_is_not_taken_for_the_wanted_one(session: Path) -> None:
    session_file(session).save(_stored("http://a.test"))
    with (
        pytest.raises(SessionError, match=r"ada's at http://a\.test"),
        connected(session, Wanted(url="http://b.test")),
    ):
        pass


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOADGATE_URL", "http://a.test/")
    monkeypatch.setenv("UPLOADGATE_USERNAME", "ada")
    monkeypatch.setenv("UPLOADGATE_PASSWORD", "secret")
    wanted = Wanted.of_environment()
    assert (wanted.url, wanted.username, wanted.password) == ("http://a.test", "ada", "secret")
    assert "secret" not in repr(wanted)


def test_a_problem_goes_to_stderr_with_its_code_and_exit_status(
    session: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["uploadgate", "credentials", "--session", str(session)])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code == 1
    assert told.out == ""
    assert told.err.startswith("Not logged in: there is no stored login;")
    assert "[session]" in told.err
