import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from cli.credentials import process_output
from client.grants import Issued
from client.wire import Keys, Place

EXPIRES = datetime(2030, 1, 1, 13, tzinfo=UTC)


def _issued(skew: timedelta) -> Issued:
    keys = Keys("ASIAEXAMPLE", "secret", "session", EXPIRES)
    return Issued(keys, Place("us-east-1", None, "uploads", "me/"), skew)


def test_exactly_what_credential_process_expects() -> None:
    assert process_output(_issued(timedelta(milliseconds=40))) == {
        "Version": 1,
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretAccessKey": "secret",
        "SessionToken": "session",
        "Expiration": "2030-01-01T13:00:00Z",
    }


@pytest.mark.parametrize(
    ("minutes", "expiration"), [(7, "2030-01-01T12:53:00Z"), (-7, "2030-01-01T13:07:00Z")]
)
def test_a_skewed_clock_is_told_its_own_time(minutes: int, expiration: str) -> None:
    assert process_output(_issued(timedelta(minutes=minutes)))["Expiration"] == expiration


def test_it_starts_without_what_takes_long_to_load() -> None:
    code = (
        "import sys, json, cli.main, cli.credentials\n"
        "slow = {'botocore', 'boto3', 'fastapi', 'sqlalchemy', 'pydantic', 'settings', 'uvicorn'}\n"
        "print(json.dumps(sorted(slow & set(sys.modules))))"
    )
    done = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", code], capture_output=True, check=True, timeout=150
    )
    assert json.loads(done.stdout) == []
