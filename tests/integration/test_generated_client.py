"""A client made by a stock generator from our OpenAPI document drives one whole upload."""

import asyncio
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contract import generated_client
from tests.integration import store
from tests.integration.stack import Stack, eventually


async def test_it_logs_in_gets_a_grant_announces_uploads_and_sees_it_completed(
    stack: Stack, tmp_path: Path
) -> None:
    user = await stack.user()
    module = generated_client.generate(tmp_path)

    def part(path: str) -> Any:
        return importlib.import_module(f"{module}.{path}")

    models = part("models")
    async with part("client").Client(base_url=stack.service.url) as anyone:
        tokens = await part("api.auth.login").asyncio(
            client=anyone, body=models.LoginRequest(username=user.name, password=user.password)
        )
    url, token = stack.service.url, tokens.access_token
    async with part("client").AuthenticatedClient(base_url=url, token=token) as client:
        await _upload(stack, client, models, part)


async def _upload(stack: Stack, client: Any, models: Any, part: Callable[[str], Any]) -> None:
    grant = await part("api.credentials.create_grant").asyncio(
        client=client, body=models.GrantRequest(mode=models.GrantRequestMode.COGNITO)
    )
    assert isinstance(grant, models.CognitoGrantResponse)
    keys = await part("api.credentials.exchange_credentials").asyncio(client=client)
    upload = await part("api.uploads.create_upload").asyncio(
        client=client, body=models.UploadRequest(filename="a.txt", size=5)
    )
    assert upload.key.startswith(grant.key_prefix)
    await asyncio.to_thread(
        store.client(keys.to_dict()).put_object,
        Bucket=upload.bucket,
        Key=upload.key,
        Body=b"hello",
    )

    async def completed() -> bool:
        seen = await part("api.uploads.get_upload").asyncio(upload.id, client=client)
        return bool(seen.status == models.UploadStatus.COMPLETED)

    await eventually(completed, "completed")

    page = await part("api.uploads.list_uploads").asyncio(client=client)
    assert [item.id for item in page.items] == [upload.id]
    missing = await part("api.uploads.get_upload").asyncio("nothing", client=client)
    assert isinstance(missing, models.Problem)
    assert missing.code == "upload_not_found"
