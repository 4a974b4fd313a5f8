"""Hermetic for every test: no ambient AWS settings, no outside network."""

import ipaddress
import os
import socket
from typing import Any

import pytest

_AMBIENT = ("AWS_", "UPLOADGATE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_connect = socket.socket.connect


def _loopback_only(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6):
        host = str(address[0])
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise AssertionError(f"a test reached out to {host}")
    _connect(self, address)


def pytest_configure(config: pytest.Config) -> None:
    for name in list(os.environ):
        if name.upper().startswith(_AMBIENT):
            del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    socket.socket.connect = _loopback_only  # type: ignore[method-assign,assignment]
