"""Where peers find the stub Cognito, and what all of them ask it."""

import os
from typing import Any

PROVIDER = "login.uploadgate"
REGION = "us-east-1"
CONNECTIONS = 400  # as many as the service has to Cognito
TIMEOUT = 30  # seconds, so that nobody gives up within a burst


def endpoint() -> str:
    return os.environ["BENCH_COGNITO"]


def pool() -> str:
    return os.environ["BENCH_POOL"]


def call_for(user_id: str) -> dict[str, Any]:
    """Of GetOpenIdTokenForDeveloperIdentity."""
    return {"IdentityPoolId": pool(), "Logins": {PROVIDER: user_id}, "TokenDuration": 900}
