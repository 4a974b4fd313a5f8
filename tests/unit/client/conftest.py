"""The wire, faked: the service as a handler of httpx, the store as a real loopback server."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from client.http import HttpClient
from client.retries import RetryPolicy
from tests.unit.client.fakes import NOW, FakeStore, Handler, HttpFor, Tokens


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def sleeps() -> list[float]:
    return []


@pytest.fixture
def http_for(sleeps: list[float]) -> Iterator[HttpFor]:
    opened: list[HttpClient] = []

    def build(handler: Handler) -> HttpClient:
        client = HttpClient(
            "http://service.test",
            transport=httpx.MockTransport(handler),
            policy=RetryPolicy(jitter=lambda: 1.0),
            sleep=sleeps.append,
        )
        opened.append(client)
        return client

    yield build
    for client in opened:
        client.close()


@pytest.fixture
def record() -> dict[str, Any]:
    return {
        "id": "upl_1",
        "status": "pending",
        "status_reason": None,
        "bucket": "uploads",
        "key": "us-east-1:me/upl_1/a.bin",
        "content_type": "application/octet-stream",
        "created_at": "2030-01-01T12:00:00Z",
        "completed_at": None,
        "of_a_later_version": {"this": "client does not know"},
    }


@pytest.fixture
def exchanged() -> dict[str, Any]:
    return {
        "access_key_id": "ASIAEXAMPLE",
        "secret_access_key": "secret-1",
        "session_token": "session-1",
        "expires_at": (NOW + timedelta(hours=1)).isoformat(),
        "region": "us-east-1",
        "endpoint": "http://store.test",
        "bucket": "uploads",
        "key_prefix": "us-east-1:me/",
        "server_time": NOW.isoformat(),
    }


@pytest.fixture
def cognito_grant() -> dict[str, Any]:
    return {
        "mode": "cognito",
        "identity_id": "us-east-1:me",
        "open_id_token": "an-open-id-token",
        "logins": {"cognito-identity.amazonaws.com": "an-open-id-token"},
        "identity_pool_id": "us-east-1:pool",
        "region": "us-east-1",
        "endpoints": {"cognito_identity": "http://127.0.0.1:9", "s3": "http://127.0.0.1:9"},
        "bucket": "uploads",
        "key_prefix": "us-east-1:me/",
        "expires_at": (NOW + timedelta(minutes=15)).isoformat(),
        "refresh_after": (NOW + timedelta(minutes=10)).isoformat(),
        "server_time": NOW.isoformat(),
    }


@pytest.fixture
def store() -> Iterator[FakeStore]:
    server = FakeStore()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
