from collections.abc import AsyncIterator, Iterator

import pytest

from aws.clients import AwsAccess, AwsClients, opened
from aws.cognito import CognitoIdentityPool
from aws.part_lister import PartLister
from aws.s3 import S3Store
from aws.signer.presigner import Presigner
from tests.fakes.aws_environment import without_ambient_aws
from tests.fakes.cognito_api import POOL, cognito
from tests.fakes.http_stub import HttpStub, Reply

CALL_SECONDS = 60.0  # whoever does not wait for it waits for something shorter
MAX_ATTEMPTS = 2


@pytest.fixture(scope="module", autouse=True)
def _hermetic() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        without_ambient_aws(patch)
        # Retries wait a random while; how long is botocore's affair, how often is ours.
        patch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
        patch.setattr("aws.part_lister._PAUSE", 0)
        yield


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[HttpStub]:
    async with HttpStub.serving() as stub:
        yield stub


@pytest.fixture(scope="module")
async def clients(server: HttpStub) -> AsyncIterator[AwsClients]:
    """Long-lived, as the service's own are."""
    access = AwsAccess(
        region="us-east-1",
        access_key_id="AKIAEXAMPLE",
        secret_access_key="the-service's-own-secret",
        cognito_endpoint=server.url,
        s3_endpoint=server.url,
        connect_timeout=60,
        read_timeout=45,
        max_attempts=MAX_ATTEMPTS,
    )
    async with opened(access) as made:
        yield made


@pytest.fixture(scope="module")
async def lister(server: HttpStub, clients: AwsClients) -> AsyncIterator[PartLister]:
    signer = Presigner(credentials=clients.credentials, region="us-east-1", endpoint=server.url)
    async with PartLister.opened(
        signer,
        connections=4,
        connect_seconds=60,
        read_seconds=60,
        attempts=MAX_ATTEMPTS,
        call_seconds=CALL_SECONDS,
    ) as made:
        yield made


@pytest.fixture
def stub(server: HttpStub) -> HttpStub:
    """The server, without a memory of other tests."""
    server.script.clear()
    server.requests.clear()
    server.answer = Reply()
    return server


@pytest.fixture
def pool(stub: HttpStub, clients: AwsClients) -> CognitoIdentityPool:
    stub.answer = cognito
    return made_pool(clients)


def made_pool(clients: AwsClients, call_seconds: float = CALL_SECONDS) -> CognitoIdentityPool:
    return CognitoIdentityPool(
        client=clients.cognito,
        public_client=clients.cognito_public,
        pool_id=POOL,
        developer_provider_name="login.example",
        call_seconds=call_seconds,
    )


@pytest.fixture
def store(stub: HttpStub, clients: AwsClients) -> S3Store:
    return S3Store(clients.s3, call_seconds=CALL_SECONDS)
