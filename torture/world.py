"""Everything real, on one machine: Postgres, the store, two replicas, an application that hears."""

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aioboto3
from sqlalchemy import insert, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cli.users import ensure_user
from localcloud import LocalCloud, LocalCloudConfig
from state import schema
from state.database import Database
from state.tables import webhook_endpoints
from tests.fakes.postgres import postgres_database, running_postgres
from tests.integration.stack import settings_from
from torture.proxy import FaultProxy
from torture.receiver import HOOKS, Receiver
from torture.replica import Replica, Surroundings, opened_replica

QUOTA = 1_000_000_000
PROFILE = "capped"
ENDPOINT = "whe_application"
TOPIC = "arn:aws:sns:us-east-1:123456789012:uploads"


@dataclass(frozen=True)
class Person:
    """A user who is logged in; `folder` is where what they upload without a record is adopted."""

    id: str
    folder: str
    headers: dict[str, str] = field(repr=False)


@dataclass
class World:
    """`application` is the proxy in front of the receiver. `engine` looks at the database from
    outside, past all proxies; `s3` is the store seen with the service's own key, which may do
    everything.
    """

    cloud: LocalCloud
    replicas: tuple[Replica, Replica]
    receiver: Receiver
    application: FaultProxy
    engine: AsyncEngine
    s3: Any
    environment: dict[str, str] = field(repr=False)
    doing: str = ""
    """What a scenario is at, for who waits for it."""

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, directory: Path) -> AsyncIterator["World"]:
        async with AsyncExitStack() as stack:
            socket = stack.enter_context(running_postgres())
            url = await stack.enter_async_context(postgres_database(socket))
            engine = create_async_engine(url)
            stack.push_async_callback(engine.dispose)
            config = LocalCloudConfig(data_dir=directory / "cloud", s3_port=0, cognito_port=0)
            cloud = await stack.enter_async_context(LocalCloud.running(config))
            receiver = await stack.enter_async_context(Receiver.serving(_secret()))
            application = await stack.enter_async_context(FaultProxy.serving(receiver.address))
            environment = cloud.environment() | _settings(cloud)
            port = cloud.s3_endpoint.rpartition(":")[2]
            name = str(make_url(url).database)
            around = Surroundings(directory, socket, name, ("127.0.0.1", int(port)), environment)
            first, second = [
                await stack.enter_async_context(opened_replica(around, f"replica-{letter}"))
                for letter in "ab"
            ]
            s3 = await stack.enter_async_context(_s3(cloud))
            direct = environment | {"UPLOADGATE_DATABASE__URL": url}
            world = cls(cloud, (first, second), receiver, application, engine, s3, direct)
            async with Database.opened(url) as database:
                await schema.upgrade(database)
            await world._register()
            for replica in world.replicas:
                stack.push_async_callback(replica.stop)
            await asyncio.gather(*(replica.start() for replica in world.replicas))
            yield world

    async def person(self, *, admin: bool = False) -> Person:
        """A new one."""
        name, password = f"user-{secrets.token_hex(6)}", secrets.token_urlsafe(16)
        settings = settings_from(self.environment)
        user_id = await ensure_user(settings, name, password, admin=admin)
        api = self.replicas[0].api
        body = {"username": name, "password": password}
        token = (await api.post("/v1/auth/login", json=body)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        grant = await api.post("/v1/credentials", headers=headers, json={"mode": "cognito"})
        return Person(user_id, grant.json()["key_prefix"], headers)

    async def people(self, count: int) -> list[Person]:
        return [await self.person() for _ in range(count)]

    async def heal(self) -> None:
        """No proxy does any harm, and the application is well."""
        self.receiver.behave()
        await self.application.heal()
        for replica in self.replicas:
            for proxy in (replica.database, replica.store):
                await proxy.heal()

    async def _register(self) -> None:
        now = datetime.now(UTC)
        row = {
            "id": ENDPOINT,
            "url": f"http://127.0.0.1:{self.application.port}{HOOKS}",
            "description": "the application",
            "secret": self.receiver.secret,
            "enabled": True,
            "created_at": now,
            "updated_at": now,
        }
        async with self.engine.begin() as connection:
            await connection.execute(insert(webhook_endpoints).values(row))


def _secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _s3(cloud: LocalCloud) -> Any:
    return aioboto3.Session().client(
        "s3",
        endpoint_url=cloud.s3_endpoint,
        region_name=cloud.region,
        aws_access_key_id=cloud.service_access_key_id,
        aws_secret_access_key=cloud.service_secret_access_key,
    )


def _settings(cloud: LocalCloud) -> dict[str, str]:
    """Everything that takes its time takes little of it here. The sweep looks at nothing of its
    own accord: what events say must come to its end by itself.
    """
    return {
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_AUTH__SIGNING_KEY": secrets.token_urlsafe(32),
        "UPLOADGATE_AUTH__ACCESS_TOKEN_SECONDS": "86400",
        "UPLOADGATE_DRAIN_SECONDS": "0",
        "UPLOADGATE_LOG_LEVEL": "warning",
        "UPLOADGATE_DATABASE__TIMEOUT_SECONDS": "5",
        "UPLOADGATE_DEPENDENCY_CHECK_SECONDS": "0.5",
        "UPLOADGATE_STORE__PUBLIC_ENDPOINT": cloud.s3_endpoint,
        # Which is well all the time, but the machine may be busy.
        "UPLOADGATE_COGNITO__WAIT_SECONDS": "30",
        "UPLOADGATE_COGNITO__CALL_TIMEOUT_SECONDS": "30",
        "UPLOADGATE_AWS__READ_TIMEOUT_SECONDS": "2",
        "UPLOADGATE_AWS__CALL_TIMEOUT_SECONDS": "4",
        "UPLOADGATE_WEBHOOKS__SNS_TOPIC_ARNS": json.dumps([TOPIC]),
        "UPLOADGATE_WEBHOOKS__EVENTBRIDGE_KEYS": json.dumps([secrets.token_urlsafe(32)]),
        "UPLOADGATE_CREDENTIALS__ISSUE": "checked_after_arrival",
        "UPLOADGATE_UPLOADS__PROFILES": json.dumps({PROFILE: {"quota": QUOTA}}),
        "UPLOADGATE_UPLOADS__IDEMPOTENCY_LEASE_SECONDS": "1",
        "UPLOADGATE_COMPLETION__LEASE_SECONDS": "4",
        "UPLOADGATE_COMPLETION__ABSENT_LOOKS": "4",
        "UPLOADGATE_COMPLETION__OVERDUE_SECONDS": "86400",
        "UPLOADGATE_COMPLETION__SWEEP_INTERVAL_SECONDS": "1",
        "UPLOADGATE_DELIVERY__RETRY_SECONDS": json.dumps([0.2, 0.5] + [1] * 48),
        "UPLOADGATE_DELIVERY__TIMEOUT_SECONDS": "2",
        "UPLOADGATE_DELIVERY__LEASE_SECONDS": "7",
        "UPLOADGATE_DELIVERY__ALLOW_HTTP": "true",
        "UPLOADGATE_DELIVERY__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    }
