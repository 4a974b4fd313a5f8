"""FastAPI sends every plain function to a thread: a hop of its own on every request."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.security import OAuth2PasswordRequestForm

import routers.auth
import routers.companion
import routers.credentials
import routers.health
import routers.s3_multipart
import routers.s3_wire
import routers.transfers
import routers.uploads
import routers.uppy
import routers.webhooks

ROUTES = [
    route
    for part in (
        routers.auth,
        routers.companion,
        routers.credentials,
        routers.health,
        routers.s3_multipart,
        routers.s3_wire,
        routers.transfers,
        routers.uploads,
        routers.uppy,
        routers.webhooks,
    )
    for route in part.router.routes
    if isinstance(route, APIRoute)
]
# FastAPI's own form of the docs page's Authorize button.
PLAIN = {OAuth2PasswordRequestForm}


def called(dependant: Any) -> Iterator[Any]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from called(inner)


def is_coroutine(call: Any) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
        getattr(call, "__call__", None)  # noqa: B004 - the method itself is asked for
    )


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{min(route.methods)} {route.path}")
def test_routes_and_their_dependencies_are_coroutines(route: APIRoute) -> None:
    calls = set(called(route.dependant)) - PLAIN
    assert len(calls) > 1 or route.path.endswith("z")
    assert [call for call in calls if not is_coroutine(call)] == []
