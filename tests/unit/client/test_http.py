from typing import Any

import httpx
import pytest

from client.http import HttpClient
from client.problems import ApiError, BadAnswerError, NetworkError
from client.retries import Repeat, RetryPolicy
from tests.unit.client.fakes import HttpFor

PROBLEM = {
    "type": "urn:uploadgate:problem:cognito_throttled",
    "title": "Cognito asks to slow down",
    "status": 503,
    "detail": "come back later",
    "code": "cognito_throttled",
    "retry_mode": "wait",
    "request_id": "req-1",
}


def _problem(status: int = 503, retry_after: str | None = None, **changes: object) -> Any:
    headers = {"Content-Type": "application/problem+json"}
    if retry_after is not None:
        headers["Retry-After"] = retry_after
    return httpx.Response(status, json={**PROBLEM, "status": status, **changes}, headers=headers)


def _script(*answers: Any) -> Any:
    """Answers in turn; an exception in the list is raised. The last one stays."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> Any:
        answer = answers[min(len(seen), len(answers) - 1)]
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handler, seen


def test_a_problem_becomes_a_typed_error(http_for: HttpFor) -> None:
    handler, _ = _script(_problem(403, code="policy", retry_mode="switch_transport"))
    with pytest.raises(ApiError) as caught:
        http_for(handler).call("POST", "/v1/credentials")
    error = caught.value
    assert (error.code, error.title, error.detail) == (
        "policy",
        PROBLEM["title"],
        "come back later",
    )
    assert (error.retry_mode, error.status, error.request_id) == ("switch_transport", 403, "req-1")


def test_what_a_proxy_made_up_becomes_a_problem_as_well(http_for: HttpFor) -> None:
    handler, _ = _script(httpx.Response(502, html="<h1>Bad Gateway</h1>"))
    with pytest.raises(ApiError) as caught:
        http_for(handler).call("GET", "/x", repeat=Repeat.UNSENT)
    assert (caught.value.code, caught.value.retry_mode) == ("http_502", "wait")


def test_waiting_is_repeated_no_earlier_than_asked(http_for: HttpFor, sleeps: list[float]) -> None:
    handler, seen = _script(_problem(retry_after="3"), _problem(), httpx.Response(200, json={}))
    assert http_for(handler).call("GET", "/x") == {}
    assert len(seen) == 3
    assert sleeps == [3.25, 0.5]


def test_a_wait_beyond_the_budget_is_the_callers_to_decide(
    http_for: HttpFor, sleeps: list[float]
) -> None:
    handler, seen = _script(_problem(retry_after="600"))
    with pytest.raises(ApiError) as caught:
        http_for(handler).call("GET", "/x")
    assert caught.value.retry_after == 600
    assert (len(seen), sleeps) == (1, [])


def test_attempts_are_bounded(http_for: HttpFor, sleeps: list[float]) -> None:
    handler, seen = _script(httpx.ReadTimeout("slow"))
    with pytest.raises(NetworkError):
        http_for(handler).call("GET", "/x")
    assert len(seen) == RetryPolicy().attempts
    assert len(sleeps) == len(seen) - 1


@pytest.mark.parametrize("mode", ["fatal", "refresh", "resign", "switch_transport", None])
def test_what_waiting_does_not_help_is_not_repeated(http_for: HttpFor, mode: str | None) -> None:
    handler, seen = _script(_problem(409, retry_mode=mode))
    with pytest.raises(ApiError):
        http_for(handler).call("GET", "/x")
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("failure", "sendings"),
    [
        (httpx.ReadTimeout("slow"), 1),
        (httpx.RemoteProtocolError("cut"), 1),
        (_problem(), 1),
        (httpx.ConnectError("refused"), 5),
        (httpx.ConnectTimeout("slow"), 5),
        (_problem(code="overloaded"), 5),
    ],
)
def test_what_must_not_come_twice_is_sent_again_only_if_it_never_arrived(
    http_for: HttpFor, failure: Any, sendings: int
) -> None:
    handler, seen = _script(failure)
    with pytest.raises((ApiError, NetworkError)):
        http_for(handler).call("POST", "/v1/auth/refresh", repeat=Repeat.UNSENT)
    assert len(seen) == sendings


def test_an_answer_that_is_no_object_is_told_as_such(http_for: HttpFor) -> None:
    handler, _ = _script(httpx.Response(200, json=["a", "list"]))
    with pytest.raises(BadAnswerError):
        http_for(handler).call("GET", "/x")


def test_the_environments_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with HttpClient("http://service.test") as client:
        assert client._http.trust_env is False
        assert client._http.timeout.connect is not None
        assert client._http.timeout.read is not None
