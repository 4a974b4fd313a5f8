"""One embedded cloud with two users for all tests of this folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from localcloud import LocalCloud, LocalCloudConfig
from tests.integration.localcloud.people import Person, person

ORIGIN = "http://127.0.0.1:8080"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Deeper than a Unix socket's path may be, and with a comma, which separates directories.
    return tmp_path_factory.mktemp("cloud") / ("deep-" * 20) / "with, comma" / "data"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cloud(data_dir: Path) -> AsyncIterator[LocalCloud]:
    config = LocalCloudConfig(
        data_dir=data_dir,
        cors_origins=(ORIGIN,),
        count_requests=True,
        s3_port=0,
        cognito_port=0,
    )
    async with LocalCloud.running(config) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def alice(cloud: LocalCloud) -> AsyncIterator[Person]:
    async with person(cloud, "alice") as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bob(cloud: LocalCloud) -> AsyncIterator[Person]:
    async with person(cloud, "bob") as found:
        yield found
