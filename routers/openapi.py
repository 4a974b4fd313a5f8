"""The OpenAPI document, with problems under their own media type."""

from typing import Any

from fastapi import FastAPI

from routers.problems import MEDIA_TYPE


def customise(app: FastAPI) -> None:
    """FastAPI files every model under the route's own media type; a problem has one of its own."""
    plain = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            for path in plain()["paths"].values():
                for operation in path.values():
                    _move_problems(operation["responses"])
        return plain()

    # FastAPI's documented way.
    app.openapi = document  # type: ignore[method-assign]


def _move_problems(responses: dict[str, Any]) -> None:
    for response in responses.values():
        content = response.get("content", {})
        if MEDIA_TYPE in content:
            filed = next(name for name in content if name != MEDIA_TYPE)
            content[MEDIA_TYPE]["schema"] = content.pop(filed)["schema"]
