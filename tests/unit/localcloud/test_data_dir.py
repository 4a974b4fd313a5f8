"""The data directory: private, exclusive, and nobody else's."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.certificates import ensure_certificates
from localcloud.errors import DataDirError
from localcloud.ports import LOOPBACK, choose_ports
from localcloud.private_files import exclusive_data_dir, write_private
from localcloud.secrets_file import Secrets

ANY = {"s3": 0, "cognito": 0}


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


def test_it_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    with exclusive_data_dir(tmp_path / "deep" / "data") as data_dir:
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        assert (data_dir / ".gitignore").read_text() == "*\n"
        modes = {stat.S_IMODE(file.stat().st_mode) for file in data_dir.iterdir()}
        assert modes == {0o600}


def test_a_second_user_is_told_who_has_it(tmp_path: Path) -> None:
    with (
        exclusive_data_dir(tmp_path / "data") as data_dir,
        pytest.raises(DataDirError, match=f"in use by process {os.getpid()}"),
        exclusive_data_dir(data_dir),
    ):
        pass
    with exclusive_data_dir(tmp_path / "data"):
        pass


def test_a_strangers_directory_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(DataDirError, match="not made by localcloud"), exclusive_data_dir(tmp_path):
        pass
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_secrets_are_kept_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    secrets = Secrets.kept_in(file)
    assert Secrets.kept_in(file) == secrets
    assert secrets.service_secret_access_key not in repr(secrets)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_damaged_secrets_are_not_replaced(tmp_path: Path, content: str) -> None:
    file = tmp_path / "secrets.json"
    write_private(file, content)
    with pytest.raises(DataDirError, match="damaged"):
        Secrets.kept_in(file)
    assert file.read_text() == content


def test_certificates_are_made_once(tmp_path: Path) -> None:
    ensure_certificates(tmp_path)
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    ensure_certificates(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first
    assert first.keys() == {"ca.pem", "node.pem", "node.key"}


def test_ports_are_remembered(tmp_path: Path) -> None:
    first = choose_ports(tmp_path / "ports.json", ANY)
    assert choose_ports(tmp_path / "ports.json", ANY) == first


def test_a_busy_port_is_replaced(tmp_path: Path, busy_port: int) -> None:
    ports = choose_ports(tmp_path / "ports.json", {"s3": busy_port, "cognito": 0})
    assert ports.store.s3 not in {busy_port, 0}
    assert choose_ports(tmp_path / "ports.json", {"s3": busy_port, "cognito": 0}) == ports


def test_a_new_preference_wins_over_memory(tmp_path: Path) -> None:
    first = choose_ports(tmp_path / "ports.json", ANY)
    wish = first.store.s3 - 1 if first.store.s3 - 1 != first.cognito else first.store.s3 - 2
    assert choose_ports(tmp_path / "ports.json", {"s3": wish, "cognito": 0}).store.s3 == wish


def test_a_damaged_memory_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    assert choose_ports(tmp_path / "ports.json", ANY).cognito
