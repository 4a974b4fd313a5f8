"""The embedded cloud as a whole: what the rest of the project starts and asks for addresses."""

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Self

from localcloud.cognito.key_life import KeyLife
from localcloud.cognito.server import CognitoServer
from localcloud.config import LocalCloudConfig
from localcloud.errors import CountsUnavailableError
from localcloud.foundation import Foundation
from localcloud.ports import LOOPBACK, StorePorts
from localcloud.private_files import exclusive_data_dir
from localcloud.startup import Started, start_parts
from localcloud.store.audit import StoreAudit
from localcloud.store.supervisor import StoreSupervisor

__all__ = ["LocalCloud", "LocalCloudConfig"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCloud:
    """A running embedded cloud; `running` is the way to one. Everything is on loopback."""

    s3_endpoint: str
    cognito_endpoint: str
    sts_endpoint: str
    bucket: str
    region: str
    identity_pool_id: str
    developer_provider_name: str
    service_access_key_id: str
    service_secret_access_key: str = field(repr=False)
    webhook_token: str = field(repr=False)
    ports: StorePorts
    cognito: CognitoServer
    store: StoreSupervisor
    key_life: KeyLife
    audit: StoreAudit | None

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, config: LocalCloudConfig) -> AsyncIterator[Self]:
        """Start everything and stop it at the end; what was stored stays in the data directory.

        LocalCloudError says what is missing, in use or broken.
        """
        async with contextlib.AsyncExitStack() as stack:
            data_dir = stack.enter_context(exclusive_data_dir(config.data_dir))
            foundation = await asyncio.to_thread(Foundation.laid_in, data_dir, config)
            stack.callback(foundation.identities.close)
            cloud = cls._of(foundation, await start_parts(foundation, stack))
            _log.info(
                "the store is at %s, Cognito at %s", cloud.s3_endpoint, cloud.cognito_endpoint
            )
            yield cloud

    @classmethod
    def _of(cls, foundation: Foundation, started: Started) -> Self:
        config, secrets = foundation.config, foundation.secrets
        s3_endpoint = f"http://{LOOPBACK}:{started.ports.s3}"
        return cls(
            s3_endpoint=s3_endpoint,
            cognito_endpoint=started.cognito.endpoint,
            # The store's STS answers at its S3 endpoint.
            sts_endpoint=s3_endpoint,
            bucket=config.bucket,
            region=config.region,
            identity_pool_id=foundation.pool_id,
            developer_provider_name=config.developer_provider_name,
            service_access_key_id=secrets.service_access_key_id,
            service_secret_access_key=secrets.service_secret_access_key,
            webhook_token=secrets.webhook_token,
            ports=started.ports,
            cognito=started.cognito,
            store=started.store,
            key_life=foundation.key_life,
            audit=started.audit,
        )

    async def stop_store(self) -> None:
        """Stop the store alone: connections to it are refused from then on."""
        await self.store.stop()

    async def start_store(self) -> None:
        """Start the store again, on the same ports with all it had."""
        await self.store.start()

    async def stop_cognito(self) -> None:
        """Stop Cognito alone: connections to it are refused; keys that are out work on."""
        await self.cognito.stop()

    async def start_cognito(self) -> None:
        """Start Cognito again, on the same port with the same identities."""
        await self.cognito.start()

    def issue_keys_for(self, seconds: int) -> None:
        """Choose the life of the keys that Cognito hands out from now on, a second more at most.

        InvalidConfigError below 1 and above the `session_seconds` of the start.
        """
        self.key_life.change(seconds)

    async def requests(self, key: str | None = None) -> Counter[tuple[str, int]]:
        """Give how often the store answered what, by its own word: `(operation, status)`.

        Of all requests since the start, or of those for one key. Parts and whole objects are both
        `REST.PUT.OBJECT`. CountsUnavailableError unless `count_requests` and the store are on.
        """
        if self.audit is None:
            raise CountsUnavailableError("start the embedded cloud with count_requests")
        await self.audit.settle(self.s3_endpoint, self.bucket)
        return self.audit.counts.of(key)

    def environment(self) -> dict[str, str]:
        """Give the service's settings for this cloud. Holds secrets."""
        return {
            "UPLOADGATE_AWS__REGION": self.region,
            "UPLOADGATE_AWS__ACCESS_KEY_ID": self.service_access_key_id,
            "UPLOADGATE_AWS__SECRET_ACCESS_KEY": self.service_secret_access_key,
            "UPLOADGATE_COGNITO__ENDPOINT": self.cognito_endpoint,
            "UPLOADGATE_COGNITO__IDENTITY_POOL_ID": self.identity_pool_id,
            "UPLOADGATE_COGNITO__DEVELOPER_PROVIDER_NAME": self.developer_provider_name,
            "UPLOADGATE_STORE__ENDPOINT": self.s3_endpoint,
            "UPLOADGATE_STORE__BUCKET": self.bucket,
            "UPLOADGATE_WEBHOOKS__SEAWEEDFS_TOKENS": json.dumps([self.webhook_token]),
        }
