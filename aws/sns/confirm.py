"""Confirming a subscription by ConfirmSubscription: the address in the message is never used."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from aws.sns.topics import parse_topic
from errors import WebhookForgedError, WebhookUnverifiableError

# A wrong or expired token, or a topic that is gone: asking again cannot help.
_FINAL_CODES = frozenset({"InvalidParameter", "InvalidParameterValue", "NotFound"})

_log = structlog.get_logger(__name__)


class SnsClient(Protocol):
    """What is used of aiobotocore's SNS client."""

    async def confirm_subscription(
        self,
        *,
        TopicArn: str,  # noqa: N803 - botocore's names
        Token: str,  # noqa: N803
        AuthenticateOnUnsubscribe: str,  # noqa: N803
    ) -> Any: ...


class SubscriptionConfirmer:
    """Called with a topic's ARN and the token of a verified message.

    `clients` gives the client of a Region, where the topic is. It needs sns:ConfirmSubscription:
    the call is signed, so that afterwards only the topic's and the subscription's owners can end
    the subscription, and not whoever sees an UnsubscribeURL.
    """

    def __init__(
        self, *, clients: Callable[[str], Awaitable[SnsClient]], timeout_seconds: float = 8.0
    ) -> None:
        self._clients = clients
        self._timeout_seconds = timeout_seconds

    async def __call__(self, topic_arn: str, token: str) -> None:
        """Raises WebhookForgedError for a refused token, WebhookUnverifiableError otherwise."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                client = await self._clients(parse_topic(topic_arn).region)
                await client.confirm_subscription(
                    TopicArn=topic_arn, Token=token, AuthenticateOnUnsubscribe="true"
                )
        except ClientError as error:
            raise _refused(error, topic_arn) from None
        except (BotoCoreError, TimeoutError, OSError):
            raise WebhookUnverifiableError("SNS did not take the confirmation now") from None


def _refused(error: ClientError, topic_arn: str) -> WebhookForgedError | WebhookUnverifiableError:
    code = error.response.get("Error", {}).get("Code", "")
    _log.warning("sns_confirmation_refused", topic_arn=topic_arn, code=code)
    if code.removesuffix("Exception") in _FINAL_CODES:
        return WebhookForgedError("SNS does not know the subscription to confirm")
    return WebhookUnverifiableError("SNS did not take the confirmation now")
