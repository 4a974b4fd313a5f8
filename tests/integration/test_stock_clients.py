"""Stock clients, unchanged, against the running service; each upload ends as a record."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config

from tests.integration import store
from tests.integration.stack import Stack, User, eventually

_MIB = 1024 * 1024
_BIN = Path(sys.executable).parent
_JS = Path(__file__).parents[1] / "stock" / "js"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.bin"
    path.write_bytes(os.urandom(12 * _MIB))
    return path


async def _grant(stack: Stack, user: User) -> dict[str, Any]:
    answer = await stack.api.post("/v1/credentials", headers=user.headers, json={"mode": "cognito"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    grant: dict[str, Any] = answer.json()
    return grant


async def _run(*command: str | Path, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        env={"PATH": f"{_BIN}:{os.environ['PATH']}", "HOME": "/nonexistent", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(240):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def _adopted(stack: Stack, user: User, key: str, size: int) -> dict[str, Any]:
    """The one record of this user, made from the store's word alone."""

    async def completed() -> list[dict[str, Any]]:
        answer = await stack.api.get("/v1/uploads?status=completed", headers=user.headers)
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    [upload] = await eventually(completed, "an adopted, completed record")
    assert (upload["origin"], upload["key"], upload["size"]) == ("adopted", key, size)
    return dict(upload)


async def test_boto3_with_a_grant_exchanged_at_cognito(stack: Stack, video: Path) -> None:
    user = await stack.user()
    grant = await _grant(stack, user)
    cognito = boto3.client(
        "cognito-identity",
        region_name=grant["region"],
        endpoint_url=grant["endpoints"]["cognito_identity"],
        config=Config(signature_version=UNSIGNED),
    )
    answer = await asyncio.to_thread(
        cognito.get_credentials_for_identity,
        IdentityId=grant["identity_id"],
        Logins=grant["logins"],
    )
    keys = {
        "region": grant["region"],
        "endpoint": grant["endpoints"]["s3"],
        "access_key_id": answer["Credentials"]["AccessKeyId"],
        "secret_access_key": answer["Credentials"]["SecretKey"],
        "session_token": answer["Credentials"]["SessionToken"],
    }
    key = f"{grant['key_prefix']}boto3/video.bin"
    parts = TransferConfig(multipart_threshold=5 * _MIB, multipart_chunksize=5 * _MIB)
    await asyncio.to_thread(
        store.client(keys).upload_file, str(video), grant["bucket"], key, Config=parts
    )
    upload = await _adopted(stack, user, key, 12 * _MIB)
    assert upload["etag"].endswith("-3")


async def test_the_aws_sdk_for_javascript(stack: Stack, video: Path) -> None:
    user = await stack.user()
    grant = await _grant(stack, user)
    key = f"{grant['key_prefix']}js/video.bin"
    task = json.dumps({"grant": grant, "key": key, "path": str(video)})
    told = json.loads(await _run(_BIN / "node", _JS / "upload.mjs", task))
    upload = await _adopted(stack, user, key, 12 * _MIB)
    assert upload["etag"] == told["etag"]
    assert told["reports"] >= 3


async def test_the_aws_cli_by_credential_process(stack: Stack, video: Path, tmp_path: Path) -> None:
    user = await stack.user()
    grant = await _grant(stack, user)
    session = tmp_path / "session.json"
    login = await asyncio.create_subprocess_exec(
        *(_BIN / "uploadgate", "login", stack.service.url, user.name),
        *("--password-stdin", "--session", session),
        stdin=asyncio.subprocess.PIPE,
    )
    await login.communicate(user.password.encode())
    assert login.returncode == 0
    config = tmp_path / "config"
    config.write_text(
        "[profile uploads]\n"
        f"credential_process = {_BIN / 'uploadgate'} credentials --session {session}\n"
        f"region = {grant['region']}\n"
        f"endpoint_url = {grant['endpoints']['s3']}\n"
        "s3 =\n  addressing_style = path\n"
    )
    key = f"{grant['key_prefix']}cli/video.bin"
    await _run(
        *(_BIN / "aws", "s3", "cp", "--only-show-errors", video, f"s3://{grant['bucket']}/{key}"),
        AWS_CONFIG_FILE=str(config),
        AWS_PROFILE="uploads",
        AWS_EC2_METADATA_DISABLED="true",
    )
    await _adopted(stack, user, key, 12 * _MIB)
