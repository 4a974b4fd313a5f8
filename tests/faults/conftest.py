from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from torture.world import World


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def whole_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with World.opened(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture
async def world(whole_world: World) -> AsyncIterator[World]:
    """Whatever was done to it, all is well afterwards."""
    yield whole_world
    await whole_world.heal()
