"""`uploadgate credentials`: the output that `credential_process` asks for, and nothing else.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
"""

import json
from datetime import UTC, timedelta
from pathlib import Path

import typer

from cli.connection import connected
from client.grants import CredentialSource, Issued, Way

_SKEW_THAT_MATTERS = timedelta(seconds=30)


def run(via: Way, session: Path | None) -> None:
    with connected(session) as api:
        issued = CredentialSource(api, via).issue()
    typer.echo(json.dumps(process_output(issued)))


def process_output(issued: Issued) -> dict[str, str | int]:
    """Version 1. The reader compares Expiration with its own clock, which is also ours: it is
    moved to that where the two clocks differ by more than a request's uncertainty.
    """
    keys = issued.keys
    skewed = abs(issued.skew) > _SKEW_THAT_MATTERS
    expiration = issued.expires_at_here if skewed else keys.expires_at
    return {
        "Version": 1,
        "AccessKeyId": keys.access_key_id,
        "SecretAccessKey": keys.secret_access_key,
        "SessionToken": keys.session_token,
        "Expiration": f"{expiration.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
