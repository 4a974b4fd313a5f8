"""Everything the demo plays on: the store with its Cognito, and the service, up and ready."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.demo.keepsakes import Keepsakes
from cli.demo.service import LOOPBACK, ServiceProcess, environment, free_port
from cli.demo.teller import Teller
from localcloud import LocalCloud, LocalCloudConfig


@dataclass(frozen=True, slots=True)
class Stage:
    url: str
    cloud: LocalCloud
    service: ServiceProcess
    keepsakes: Keepsakes


@asynccontextmanager
async def raised(data_dir: Path, preferred_port: int, teller: Teller) -> AsyncIterator[Stage]:
    """Brings it all up, tells so, and takes it all down in the reverse order."""
    with teller.step("a port for the service") as step:
        port = free_port(preferred_port)
        url = f"http://{LOOPBACK}:{port}"
        step.found = f"{port}" + ("" if port == preferred_port else f" ({preferred_port} is busy)")
    keepsakes = Keepsakes(data_dir)
    async with _cloud(data_dir, url, teller) as cloud:
        env = environment(keepsakes, url, port, cloud.environment())
        async with _service(url, env, keepsakes, teller) as service:
            yield Stage(url, cloud, service, keepsakes)


@asynccontextmanager
async def _cloud(data_dir: Path, url: str, teller: Teller) -> AsyncIterator[LocalCloud]:
    config = LocalCloudConfig(
        data_dir=data_dir,
        webhook_url=f"{url}/v1/webhooks/seaweedfs",
        cors_origins=(url,),
        count_requests=True,
    )
    manager = LocalCloud.running(config)
    with teller.step("a real S3 server, a Cognito Identity API in front of its STS") as step:
        cloud = await manager.__aenter__()
        step.found = f"{cloud.s3_endpoint}, {cloud.cognito_endpoint}"
    try:
        yield cloud
    finally:
        await manager.__aexit__(None, None, None)


@asynccontextmanager
async def _service(
    url: str, env: dict[str, str], keepsakes: Keepsakes, teller: Teller
) -> AsyncIterator[ServiceProcess]:
    manager = ServiceProcess.running(url, env, keepsakes)
    with teller.step("the service, ready") as step:
        service = await manager.__aenter__()
        step.found = f"{url}, process {service.pid}"
    try:
        yield service
    finally:
        await manager.__aexit__(None, None, None)
