"""boto3 at the embedded store, as a user's own client would be set up."""

from typing import Any

import boto3
from botocore.config import Config

from tests.integration.stack import Stack, User


async def credentials(stack: Stack, user: User) -> dict[str, Any]:
    """By the service's exchange."""
    answer = await stack.api.post("/v1/credentials/exchange", headers=user.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def client(keys: dict[str, Any]) -> Any:
    return boto3.client(
        "s3",
        region_name=keys["region"],
        endpoint_url=keys["endpoint"],
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
        aws_session_token=keys["session_token"],
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=5,
            read_timeout=20,
        ),
    )
