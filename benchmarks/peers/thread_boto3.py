"""A plain `def` handler with boto3, which FastAPI runs in its thread pool of 40, as its
documentation advises for libraries that wait. One client serves all threads, as boto3 allows.
"""

from typing import Annotated, Any

import boto3
from botocore.config import Config
from fastapi import FastAPI, Header

from benchmarks.peers.grant import grant
from benchmarks.peers.upstream import REGION, TIMEOUT, call_for, endpoint, pool

_THREADS = 40  # anyio's own number; boto3's default of ten connections would throw away thirty


def create_app() -> FastAPI:
    app = FastAPI()
    config = Config(max_pool_connections=_THREADS, read_timeout=TIMEOUT)
    cognito = boto3.client(
        "cognito-identity", region_name=REGION, endpoint_url=endpoint(), config=config
    )

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/credentials")
    def create_grant(x_user: Annotated[str, Header()]) -> dict[str, Any]:
        answer = cognito.get_open_id_token_for_developer_identity(**call_for(x_user))
        return grant(pool(), answer["IdentityId"], answer["Token"])

    return app
