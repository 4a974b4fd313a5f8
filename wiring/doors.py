"""Where the store's word comes in."""

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aws.clients import AwsClients
from aws.sns.certificates import Certificates
from aws.sns.confirm import SubscriptionConfirmer
from aws.sns.fetcher import HttpxCertificateFetcher
from aws.sns.receiver import SnsReceiver
from service.clock import utc_now
from service.completion.sources.eventbridge_door import EventBridgeReceiver
from service.completion.sources.filer import FilerReceiver
from settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """A source that is not configured is None."""

    eventbridge: EventBridgeReceiver | None
    seaweedfs: FilerReceiver | None
    sns: SnsReceiver | None


@asynccontextmanager
async def opened_doors(settings: Settings, clients: AwsClients) -> AsyncIterator[Doors]:
    async with AsyncExitStack() as stack:
        topics = settings.webhooks.sns_topic_arns
        sns = await _sns_receiver(settings, clients, stack) if topics else None
        yield Doors(
            eventbridge=_eventbridge_receiver(settings),
            seaweedfs=_filer_receiver(settings),
            sns=sns,
        )


async def _sns_receiver(
    settings: Settings, clients: AwsClients, stack: AsyncExitStack
) -> SnsReceiver:
    fetcher = await stack.enter_async_context(HttpxCertificateFetcher())
    certificates = Certificates(
        fetcher, clock=utc_now, max_callers=math.ceil(settings.http.max_concurrent_webhooks / 2)
    )
    stack.push_async_callback(certificates.aclose)
    return SnsReceiver(
        topic_arns=frozenset(settings.webhooks.sns_topic_arns),
        sha256_only=settings.webhooks.sns_sha256_only,
        certificates=certificates,
        confirm=SubscriptionConfirmer(clients=clients.sns),
        clock=utc_now,
        max_age_seconds=settings.webhooks.sns_max_age_seconds,
    )


def _filer_receiver(settings: Settings) -> FilerReceiver | None:
    tokens = [token.get_secret_value() for token in settings.webhooks.seaweedfs_tokens]
    return FilerReceiver(tokens=tokens, bucket=settings.store.bucket) if tokens else None


def _eventbridge_receiver(settings: Settings) -> EventBridgeReceiver | None:
    values = settings.webhooks
    keys = [key.get_secret_value() for key in values.eventbridge_keys]
    return EventBridgeReceiver(keys=keys, header=values.eventbridge_header) if keys else None
