from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.stack import Stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with Stack.running(tmp_path_factory.mktemp("stack")) as running:
        yield running
