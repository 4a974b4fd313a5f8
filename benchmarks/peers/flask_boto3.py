"""Flask with boto3, one client for the threads of a gunicorn worker."""

from typing import Any

import boto3
from botocore.config import Config
from flask import Flask, request

from benchmarks.peers.grant import grant
from benchmarks.peers.upstream import REGION, TIMEOUT, call_for, endpoint, pool


def create_app() -> Flask:
    app = Flask(__name__)
    cognito = boto3.client(
        "cognito-identity",
        region_name=REGION,
        endpoint_url=endpoint(),
        config=Config(read_timeout=TIMEOUT),
    )

    @app.get("/livez")
    def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/credentials")
    def create_grant() -> dict[str, Any]:
        user_id = request.headers["X-User"]
        answer = cognito.get_open_id_token_for_developer_identity(**call_for(user_id))
        return grant(pool(), answer["IdentityId"], answer["Token"])

    return app
