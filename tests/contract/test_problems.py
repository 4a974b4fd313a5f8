"""The one table of problems: complete, stable, and the same shape for every error."""

import json
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

import errors
from errors import RetryMode, UploadgateError
from routers import problems
from routers.problems import STATUS
from tests.fakes.problems import FACTS, assert_problem


def subclasses(kind: type[UploadgateError]) -> Iterator[type[UploadgateError]]:
    for below in kind.__subclasses__():
        yield below
        yield from subclasses(below)


CONCRETE = [kind for kind in subclasses(UploadgateError) if kind.__module__ == "errors"]
EVERY = pytest.mark.parametrize("kind", CONCRETE, ids=lambda kind: kind.code)


def test_every_error_has_a_status_and_nothing_else_does() -> None:
    assert set(STATUS) == set(CONCRETE)
    assert list(problems.catalogue()) == list(STATUS)


def test_codes_are_unique_and_stable_in_shape() -> None:
    codes = [kind.code for kind in CONCRETE]
    assert len(codes) == len(set(codes))
    assert all(code.isidentifier() and code.islower() for code in codes)


@EVERY
def test_an_error_says_what_it_is(kind: type[UploadgateError]) -> None:
    assert "code" in vars(kind)
    assert "title" in vars(kind)
    assert kind.retry_mode in {*RetryMode.__args__, None}  # type: ignore[attr-defined]
    assert str(kind()) == kind.title
    assert str(kind("more")) == "more"


@EVERY
async def test_an_error_becomes_a_problem(kind: type[UploadgateError]) -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    async def fails() -> None:
        raise kind("what happened", retry_after=7)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        answer = await client.get("/")
    body = assert_problem(answer, kind, request_id=False)
    assert body["detail"] == "what happened"
    assert answer.headers.get("retry-after") in (None, "7")


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (errors.UploadIncompleteError(missing=[2, 3]), {"missing_parts": [2, 3]}),
        (
            errors.UploadIncompleteError(missing=range(1, 10_001)),
            {"missing_parts": [*range(1, 1001)]},
        ),
        (errors.UploadIncompleteError(), {}),
        (errors.ContentRangeError(expected_offset=7), {"expected_offset": 7}),
        (errors.ContentRangeError(expected_offset=0), {"expected_offset": 0}),
        (errors.ContentRangeError(), {}),
    ],
)
def test_what_a_program_needs_to_go_on_is_a_member(
    error: UploadgateError, facts: dict[str, object]
) -> None:
    body = json.loads(bytes(problems.problem_response(error).body))
    assert {name: body[name] for name in FACTS & body.keys()} == facts


@pytest.mark.parametrize(
    ("kind", "challenge"),
    [
        (errors.NotAuthenticatedError, "Bearer"),
        (errors.InvalidCredentialsError, "Bearer"),
        (errors.InvalidTokenError, 'Bearer error="invalid_token"'),
        (errors.TokenExpiredError, 'Bearer error="invalid_token"'),
    ],
)
def test_who_is_not_known_is_challenged(kind: type[UploadgateError], challenge: str) -> None:
    assert problems.headers_of(kind())["WWW-Authenticate"] == challenge


def test_a_client_always_hears_how_long_to_wait() -> None:
    assert problems.headers_of(errors.OverloadedError())["Retry-After"] == "1"
    assert problems.headers_of(errors.OverloadedError(retry_after=9))["Retry-After"] == "9"


def test_a_bound_that_was_met_is_told_in_structured_fields() -> None:
    limit = errors.RateLimit("cognito", quota=50, window=1, remaining=0, reset=2)
    headers = problems.headers_of(errors.CognitoThrottledError(rate_limit=limit))
    assert headers["RateLimit-Policy"] == '"cognito";q=50;w=1'
    assert headers["RateLimit"] == '"cognito";r=0;t=2'


@EVERY
def test_without_a_bound_none_is_told(kind: type[UploadgateError]) -> None:
    assert not {"RateLimit", "RateLimit-Policy"} & problems.headers_of(kind()).keys()


@EVERY
def test_an_example_of_it_stands_in_the_document(kind: type[UploadgateError]) -> None:
    entry = problems.responses(kind)[STATUS[kind].value]
    (example,) = entry["content"][problems.MEDIA_TYPE]["examples"].values()
    assert (example["value"]["code"], example["summary"]) == (kind.code, kind.title)
    assert f"`{kind.code}`" in entry["description"]
