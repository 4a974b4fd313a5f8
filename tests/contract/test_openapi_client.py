"""docs/openapi.json is good enough for a stock generator: what it makes can be used as it is."""

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contract.generated_client import DOCUMENT, generate

TIME = "2026-01-02T03:04:05Z"
PLACE = {
    "bucket": "uploads",
    "key_prefix": "users/usr_1/",
    "region": "us-east-1",
    "endpoints": {"cognito_identity": None, "s3": None},
    "server_time": TIME,
}
COGNITO = PLACE | {
    "mode": "cognito",
    "identity_id": "us-east-1:1",
    "open_id_token": "token",
    "logins": {"cognito-identity.amazonaws.com": "token"},
    "identity_pool_id": "us-east-1:2",
    "expires_at": TIME,
    "refresh_after": TIME,
}
PRESIGNED = PLACE | {"mode": "presigned", "reason": "policy"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("client")
    name = generate(folder)
    yield name
    sys.path.remove(str(folder))
    for module in [each for each in sys.modules if each.split(".")[0] == name]:
        del sys.modules[module]


def operations() -> Iterator[tuple[str, str]]:
    """Tag and name of each. A generator need not know text/plain, which only SNS sends."""
    for path in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].values():
        for operation in path.values():
            content = operation.get("requestBody", {}).get("content", {})
            if list(content) != ["text/plain"]:
                yield operation["tags"][0], operation["operationId"]


@pytest.mark.parametrize(("tag", "name"), list(operations()))
def test_each_operation_has_its_functions(package: str, tag: str, name: str) -> None:
    module = importlib.import_module(f"{package}.api.{tag}.{name}")
    assert all(callable(getattr(module, each)) for each in ("sync_detailed", "asyncio_detailed"))


def answering(package: str, status: int, body: dict[str, Any]) -> Any:
    """A client whose every request is answered so."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    client = importlib.import_module(package).AuthenticatedClient
    return client(base_url="http://test", token="t", httpx_args={"transport": transport})


def ask_for_grant(package: str, client: Any) -> Any:
    create_grant = importlib.import_module(f"{package}.api.credentials.create_grant")
    request = importlib.import_module(f"{package}.models").GrantRequest
    return create_grant.sync(client=client, body=request())


@pytest.mark.parametrize(
    ("body", "kind"),
    [(COGNITO, "CognitoGrantResponse"), (PRESIGNED, "PresignedGrantResponse")],
)
def test_a_grant_is_told_by_its_mode(package: str, body: dict[str, Any], kind: str) -> None:
    grant = ask_for_grant(package, answering(package, 200, body))
    assert (type(grant).__name__, grant.mode) == (kind, body["mode"])


def test_a_problem_keeps_its_code(package: str) -> None:
    body = {"type": "t", "title": "t", "status": 403, "detail": "d", "code": "policy"}
    problem = ask_for_grant(package, answering(package, 403, body | {"retry_mode": "wait"}))
    assert (type(problem).__name__, problem.code, problem.retry_mode) == (
        "Problem",
        "policy",
        "wait",
    )


def test_an_optional_body_can_be_left_out(package: str) -> None:
    create_grant = importlib.import_module(f"{package}.api.credentials.create_grant")
    grant = create_grant.sync(client=answering(package, 200, PRESIGNED))
    assert grant.mode == "presigned"
