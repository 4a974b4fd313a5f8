"""A bare FastAPI handler: one call to Cognito on one long-lived client, as aiobotocore advises.
It checks nobody, remembers nothing and limits nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import aioboto3
from aiobotocore.config import AioConfig
from fastapi import FastAPI, Header, Request

from benchmarks.peers.grant import grant
from benchmarks.peers.upstream import CONNECTIONS, REGION, TIMEOUT, call_for, endpoint, pool


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    config = AioConfig(max_pool_connections=CONNECTIONS, read_timeout=TIMEOUT)
    session = aioboto3.Session(region_name=REGION)
    async with session.client(
        "cognito-identity", endpoint_url=endpoint(), config=config
    ) as app.state.cognito:
        yield


def create_app() -> FastAPI:
    app = FastAPI(lifespan=_lifespan)

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/credentials")
    async def create_grant(request: Request, x_user: Annotated[str, Header()]) -> dict[str, Any]:
        answer = await request.app.state.cognito.get_open_id_token_for_developer_identity(
            **call_for(x_user)
        )
        return grant(pool(), answer["IdentityId"], answer["Token"])

    return app
