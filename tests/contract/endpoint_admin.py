"""An administrator of webhook endpoints, who leaves none behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.fakes.house import House
from tests.unit.routers.test_bad_tokens import token

BASE = "/v1/admin/webhook-endpoints"


@asynccontextmanager
async def endpoint_admin(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as client:
        client.headers["Authorization"] = f"Bearer {token(scope='admin')}"
        yield client
        for item in (await client.get(BASE)).json()["items"]:
            assert (await client.delete(f"{BASE}/{item['id']}")).status_code == 204
