from typing import Any

import httpx
import pytest

from client.api import Api
from client.problems import ApiError, BadAnswerError, NetworkError
from client.wire import Grant
from tests.unit.client.fakes import HttpFor, Tokens


def _expired() -> Any:
    body = {"code": "token_expired", "title": "expired", "detail": "x", "retry_mode": "refresh"}
    return httpx.Response(401, json=body)


def test_a_refused_token_is_renewed_once_and_the_call_repeated(
    http_for: HttpFor, tokens: Tokens, record: dict[str, Any]
) -> None:
    def handler(request: httpx.Request) -> Any:
        fresh = request.headers["Authorization"] == "Bearer token-1"
        return httpx.Response(200, json=record) if fresh else _expired()

    assert Api(http_for(handler), tokens).upload("upl_1").id == "upl_1"
    assert tokens.renewals == 1


def test_a_token_refused_again_ends_it(http_for: HttpFor, tokens: Tokens) -> None:
    with pytest.raises(ApiError, match="x"):
        Api(http_for(lambda _: _expired()), tokens).me()
    assert tokens.renewals == 1


def test_a_creation_repeated_after_a_cut_carries_the_same_key(
    http_for: HttpFor, tokens: Tokens, record: dict[str, Any]
) -> None:
    keys = []

    def handler(request: httpx.Request) -> Any:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx.ReadTimeout("cut")
        return httpx.Response(201, json=record)

    api = Api(http_for(handler), tokens)
    api.create_upload("a.bin", 1, "text/plain")
    api.create_upload("a.bin", 1, "text/plain")
    assert keys[0] == keys[1] != keys[2]


def test_pages_are_read_to_the_end(
    http_for: HttpFor, tokens: Tokens, record: dict[str, Any]
) -> None:
    def handler(request: httpx.Request) -> Any:
        last = request.url.params.get("cursor") == "two"
        items = [{**record, "id": "upl_2" if last else "upl_1"}]
        return httpx.Response(200, json={"items": items, "next_cursor": None if last else "two"})

    uploads = Api(http_for(handler), tokens).uploads(status="pending", limit=1)
    assert [upload.id for upload in uploads] == ["upl_1", "upl_2"]


def test_deleting_what_is_gone_is_fine(http_for: HttpFor, tokens: Tokens) -> None:
    gone = httpx.Response(404, json={"code": "upload_not_found", "title": "gone"})
    Api(http_for(lambda _: gone), tokens).delete_upload("upl_1")


def test_deleting_tells_of_anything_else(http_for: HttpFor, tokens: Tokens) -> None:
    def handler(_: object) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(NetworkError):
        Api(http_for(handler), tokens).delete_upload("upl_1")


def test_a_grant_is_read_and_its_token_stays_out_of_its_repr(cognito_grant: dict[str, Any]) -> None:
    grant = Grant.read(cognito_grant)
    assert grant.identity_id == "us-east-1:me"
    assert grant.place.key_prefix == "us-east-1:me/"
    assert "an-open-id-token" not in repr(grant)


def test_a_presigned_grant_says_why(cognito_grant: dict[str, Any]) -> None:
    presigned = {**cognito_grant, "mode": "presigned", "reason": "policy"}
    assert Grant.read(presigned).reason == "policy"


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", "magic"), ("bucket", None), ("server_time", "soon"), ("server_time", "2030-01-01")],
)
def test_an_answer_of_another_shape_is_told_as_such(
    cognito_grant: dict[str, Any], name: str, value: object
) -> None:
    with pytest.raises(BadAnswerError):
        Grant.read({**cognito_grant, name: value})
