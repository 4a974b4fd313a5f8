"""One synchronous JSON client: time-outs on everything, problems as errors, bounded retries."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Self

import httpx

from client.problems import ApiError, BadAnswerError, ClientError, NetworkError, RetryMode
from client.retries import Repeat, RetryPolicy

# The service lets a request wait up to 30 s for admission before it answers.
TIMEOUTS = httpx.Timeout(connect=5, read=40, write=30, pool=5)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_GATEWAYS = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class HttpClient:
    """Safe for use by several threads. .netrc of the environment is not used, nor any proxy but
    the one that is named.
    """

    def __init__(
        self,
        base_url: str,
        *,
        transport: httpx.BaseTransport | None = None,
        proxy: str | None = None,
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._policy = policy or RetryPolicy()
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=self.base_url,
            timeout=TIMEOUTS,
            transport=transport,
            proxy=proxy,
            trust_env=False,
            headers={"Accept": "application/json", "User-Agent": "uploadgate-client"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        json: object | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: Repeat = Repeat.SAFE,
    ) -> dict[str, Any]:
        """The answer's JSON object; empty for an empty answer. Raises ClientErrors."""
        spent, attempt = 0.0, 0
        while True:
            attempt += 1
            try:
                return self._once(method, path, json=json, params=params, headers=headers)
            except ClientError as error:
                wait = self._policy.delay(error, repeat, attempt, spent)
                if wait is None:
                    raise
            self._sleep(wait)
            spent += wait

    def _once(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **request)
        except _UNSENT as error:
            raise NetworkError(
                f"{self.base_url}: {str(error) or 'no connection'}", sent=False
            ) from None
        except httpx.HTTPError as error:
            raise NetworkError(f"{self.base_url}: {type(error).__name__}", sent=True) from None
        if answer.is_success:
            return _object(answer)
        raise problem_of(answer)


def _object(answer: httpx.Response) -> dict[str, Any]:
    if not answer.content:
        return {}
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise BadAnswerError(f"{answer.request.url.path} answered with something else than JSON")
    return body


def problem_of(answer: httpx.Response) -> ApiError:
    """The problem in an answer; what a proxy in between made up becomes one as well."""
    try:
        body = _object(answer)
    except BadAnswerError:
        body = {}
    return problem(answer.status_code, answer.reason_phrase, answer.headers, body)


def problem(
    status: int, reason: str, headers: Mapping[str, str], body: Mapping[str, Any]
) -> ApiError:
    """`headers` must not care for case; `body` is empty where there was no JSON object."""
    title = str(body.get("title") or reason or f"HTTP {status}")
    return ApiError(
        str(body.get("code") or f"http_{status}"),
        title,
        str(body.get("detail") or title),
        status=status,
        retry_mode=_retry_mode(body, status),
        request_id=body.get("request_id") or headers.get("X-Request-ID"),
        retry_after=seconds(headers.get("Retry-After")),
        facts=body,
    )


def _retry_mode(body: Mapping[str, Any], status: int) -> RetryMode | None:
    if "code" in body:
        mode: RetryMode | None = body.get("retry_mode")
        return mode
    return "wait" if status in _GATEWAYS else None


def seconds(value: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not what services like these send."""
    return float(value) if value is not None and value.isdigit() else None
