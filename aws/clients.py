"""One session and its long-lived clients, opened with the application and closed with it.

A client a request would cost hundreds of milliseconds of blocking reads; one client serves any
number of concurrent tasks (aiobotocore's own advice). Time-outs, retries and the signature
version are explicit: botocore's defaults wait 60 s and retry in legacy mode.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore import UNSIGNED

from aws.signer.credentials import SessionCredentials

if TYPE_CHECKING:
    from types_aiobotocore_cognito_identity import CognitoIdentityClient
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient


_LONGEST_POLL = 20  # seconds: SQS' own bound on ReceiveMessage's WaitTimeSeconds


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsAccess:
    """How to reach AWS. Seconds; endpoints are None for AWS's own. `sqs`: there is a queue, which
    lies in `region`.
    """

    region: str
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    cognito_endpoint: str | None = None
    s3_endpoint: str | None = None
    sqs_endpoint: str | None = None
    sqs: bool = False
    connect_timeout: float = 2
    read_timeout: float = 5
    complete_read_timeout: float = 60
    max_attempts: int = 3
    max_connections: int = 100
    keep_alive: float = 30
    cognito_connections: int = 100
    cognito_seconds: float = 5


@dataclass(frozen=True, slots=True)
class AwsClients:
    """`cognito_public` sends unsigned, as GetCredentialsForIdentity is called by anyone.
    `sns` gives the one client of a topic's own Region, opened at its first use. `credentials` are
    those that all of them sign with. `s3_completing` waits longer between two bytes of an answer,
    as S3 does while it completes a multipart. `sqs` waits out a long poll.
    """

    cognito: "CognitoIdentityClient"
    cognito_public: "CognitoIdentityClient"
    s3: "S3Client"
    sns: Callable[[str], Awaitable["SNSClient"]]
    credentials: SessionCredentials
    s3_completing: "S3Client"
    sqs: "SQSClient | None" = None


class VerifyingSession(AIOHTTPSession):
    """aiobotocore 2.25 makes contexts of urllib3's kind, which leave the name in a certificate for
    urllib3 to check, and behind a proxy none at all: aiohttp must check both itself.
    """

    def _get_ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._get_ssl_context()  # type: ignore[misc]  # its types leave it out
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
        return context

    def _setup_proxy_ssl_context(self, proxy_url: str) -> ssl.SSLContext:
        context: ssl.SSLContext | None = super()._setup_proxy_ssl_context(proxy_url)  # type: ignore[misc]
        return context or self._get_ssl_context()


def client_config(access: AwsAccess, **more: Any) -> AioConfig:
    return AioConfig(
        connect_timeout=access.connect_timeout,
        read_timeout=access.read_timeout,
        retries={"mode": "standard", "total_max_attempts": access.max_attempts},
        max_pool_connections=access.max_connections,
        http_session_cls=VerifyingSession,
        connector_args={"keepalive_timeout": access.keep_alive},
        **more,
    )


def _for_cognito(access: AwsAccess) -> AwsAccess:
    """No attempt but the first: each counts against the quota, which is kept elsewhere."""
    return replace(
        access,
        max_attempts=1,
        max_connections=access.cognito_connections,
        read_timeout=access.cognito_seconds,
    )


def _s3_config(access: AwsAccess) -> AioConfig:
    """Virtual-host style on AWS gives the regional host; self-hosted stores take path style.
    Checksums are sent and asked for where an operation requires or names them only.
    """
    style = "virtual" if access.s3_endpoint is None else "path"
    return client_config(
        access,
        signature_version="s3v4",
        s3={"addressing_style": style},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


@asynccontextmanager
async def opened(access: AwsAccess) -> AsyncIterator[AwsClients]:
    session = aioboto3.Session(
        region_name=access.region,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
    )
    plain = client_config(access)
    signed = client_config(_for_cognito(access))
    unsigned = client_config(_for_cognito(access), signature_version=UNSIGNED)
    async with AsyncExitStack() as stack:
        cognito = await stack.enter_async_context(
            session.client("cognito-identity", endpoint_url=access.cognito_endpoint, config=signed)
        )
        public = await stack.enter_async_context(
            session.client(
                "cognito-identity", endpoint_url=access.cognito_endpoint, config=unsigned
            )
        )
        s3 = await stack.enter_async_context(
            session.client("s3", endpoint_url=access.s3_endpoint, config=_s3_config(access))
        )
        patient = replace(access, read_timeout=access.complete_read_timeout)
        completing = await stack.enter_async_context(
            session.client("s3", endpoint_url=access.s3_endpoint, config=_s3_config(patient))
        )

        queue = await stack.enter_async_context(_sqs(session, access)) if access.sqs else None
        regional = _RegionalSns(session, plain, stack)
        credentials = await SessionCredentials.of(session, seconds=access.read_timeout)
        stack.push_async_callback(credentials.aclose)
        yield AwsClients(cognito, public, s3, regional.client, credentials, completing, queue)


def _sqs(session: aioboto3.Session, access: AwsAccess) -> AbstractAsyncContextManager["SQSClient"]:
    patient = replace(access, read_timeout=_LONGEST_POLL + access.read_timeout)
    return session.client("sqs", endpoint_url=access.sqs_endpoint, config=client_config(patient))


class _RegionalSns:
    """At most as many clients as the allowed topics have Regions."""

    def __init__(self, session: aioboto3.Session, config: AioConfig, stack: AsyncExitStack) -> None:
        self._session = session
        self._config = config
        self._stack = stack
        self._clients: dict[str, SNSClient] = {}
        self._opening = asyncio.Lock()

    async def client(self, region: str) -> "SNSClient":
        async with self._opening:
            if region not in self._clients:
                self._clients[region] = await self._stack.enter_async_context(
                    self._session.client("sns", region_name=region, config=self._config)
                )
            return self._clients[region]
