"""What load balancers ask. They read the status alone; people read the body."""

from typing import Literal

from fastapi import APIRouter, Response, status
from pydantic import BaseModel, Field

from routers.no_store import NO_STORE
from routers.services import Wired

router = APIRouter(tags=["health"], dependencies=[NO_STORE])


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class DegradedDependency(BaseModel):
    dependency: str = Field(examples=["cognito"])
    code: str = Field(examples=["cognito_unavailable"])
    required: bool = Field(description="Whether it makes the replica unready.")


class ReadyResponse(BaseModel):
    status: str = Field(
        description="`ready`, `starting`, `draining`, `failed`, `misconfigured` or `unavailable`.",
        examples=["ready"],
    )
    degraded: list[DegradedDependency]


@router.head("/livez", include_in_schema=False)
@router.get("/livez", operation_id="livez", summary="Is the process alive?")
async def livez() -> Alive:
    """Touches nothing."""
    return Alive()


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Should this replica get traffic?",
    responses={503: {"model": ReadyResponse, "description": "Not now; the body says why."}},
)
async def readyz(services: Wired, response: Response) -> ReadyResponse:
    report = await services.readiness.report()
    if not report.ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return ReadyResponse(
        status=report.status,
        degraded=[
            DegradedDependency(
                dependency=found.dependency, code=found.code, required=found.required
            )
            for found in report.degraded
        ],
    )
