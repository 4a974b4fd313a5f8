"""Hermetic for every test: no ambient AWS settings, no outside network."""

import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# A machine that is busy fails no test.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
# Tests of real parts, which wait with limits of their own: these say what is missing.
_PATIENT = {"contract": 600, "faults": 1800, "integration": 900, "state": 600}

_AMBIENT = (
    "AWS_",
    "UPLOADGATE_",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
)
_connect = socket.socket.connect
_getaddrinfo = socket.getaddrinfo


def _loopback_only(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6):
        host = str(address[0])
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise AssertionError(f"a test reached out to {host}")
    _connect(self, address)


def _local_names_only(host: Any, *args: Any, **kwargs: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name is not None and name not in {"localhost", ""} and not _is_address(name):
        raise AssertionError(f"a test asked for the address of {name}")
    return _getaddrinfo(host, *args, **kwargs)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in _PATIENT and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_PATIENT[folder]))


def pytest_configure(config: pytest.Config) -> None:
    for name in list(os.environ):
        if name.upper().startswith(_AMBIENT):
            del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    # awscrt is here for its CRC64NVME: botocore signs and transfers as it does in production.
    os.environ["BOTO_DISABLE_CRT"] = "true"
    socket.socket.connect = _loopback_only  # type: ignore[method-assign,assignment]
    socket.getaddrinfo = _local_names_only
