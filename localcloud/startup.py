"""The order in which the parts come up, and what happens when a port is taken meanwhile."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass

from localcloud.cognito.exchange import StsExchange
from localcloud.cognito.server import CognitoServer
from localcloud.errors import StoreStartError
from localcloud.foundation import Foundation
from localcloud.ports import LOOPBACK, Ports, StorePorts, all_free, choose_ports
from localcloud.store.audit import StoreAudit
from localcloud.store.bucket import prepare_bucket, s3_client
from localcloud.store.configuration import TLS
from localcloud.store.leftover import end_leftover
from localcloud.store.process import PID_NAME
from localcloud.store.supervisor import StoreSupervisor
from localcloud.store.volumes import grow_volumes

_log = logging.getLogger(__name__)
_BUCKET_PATIENCE_SECONDS = 60.0
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The running parts. The stack that they were started with stops them."""

    ports: StorePorts
    cognito: CognitoServer
    store: StoreSupervisor
    audit: StoreAudit | None


async def start_parts(foundation: Foundation, stack: contextlib.AsyncExitStack) -> Started:
    """Start everything on free ports; choose others when somebody takes one before we listen."""
    # Before the ports are chosen: a leftover would sit on the remembered ones.
    await end_leftover(foundation.data_dir / PID_NAME, foundation.secrets.instance)
    preferred = {"s3": foundation.config.s3_port, "cognito": foundation.config.cognito_port}
    for attempt in range(1, _ATTEMPTS + 1):
        memory = foundation.data_dir / "ports.json"
        ports = await asyncio.to_thread(choose_ports, memory, preferred)
        try:
            async with contextlib.AsyncExitStack() as attempted:
                started = await _start_on(ports, foundation, attempted)
                await stack.enter_async_context(attempted.pop_all())
                return started
        except (StoreStartError, OSError):
            if attempt == _ATTEMPTS or await asyncio.to_thread(all_free, ports):
                raise
            _log.warning("a port was taken meanwhile; choosing others")
    raise AssertionError("the last attempt returns or raises")


async def _start_on(
    ports: Ports, foundation: Foundation, stack: contextlib.AsyncExitStack
) -> Started:
    # Cognito first: the store fetches the pool's public key from it.
    sts = await stack.enter_async_context(
        StsExchange(_s3_endpoint(ports), foundation.session_tokens)
    )
    cognito = CognitoServer(foundation.cognito_app(sts), ports.cognito)
    await cognito.start()
    stack.push_async_callback(cognito.stop)
    audit = None
    if foundation.config.count_requests:
        audit = await stack.enter_async_context(StoreAudit.listening())
    store = StoreSupervisor(await asyncio.to_thread(foundation.store_launch, ports, audit))
    stack.push_async_callback(store.stop)
    # Loading the client's model takes a while, and so does the store.
    client, _ = await asyncio.gather(
        asyncio.to_thread(s3_client, _s3_endpoint(ports), *foundation.service_key), store.start()
    )
    await asyncio.to_thread(_furnish, client, ports, foundation)
    return Started(ports=ports.store, cognito=cognito, store=store, audit=audit)


def _furnish(client: object, ports: Ports, foundation: Foundation) -> None:
    config = foundation.config
    patience = _BUCKET_PATIENCE_SECONDS
    if prepare_bucket(client, config.bucket, config.cors_origins, patience=patience):
        grow_volumes(foundation.data_dir / TLS, ports.store.master, config.bucket)


def _s3_endpoint(ports: Ports) -> str:
    return f"http://{LOOPBACK}:{ports.store.s3}"
