"""SNS over HTTPS: proves a delivery, then says which objects it tells of.

SNS takes every status from 200 to 499 for delivered, so a refusal ends a delivery and only
WebhookUnverifiableError (a 5xx) has it sent again.

The order of the checks is the protection: nothing is fetched for a message before its topic is
found to be ours, and its certificate's address that topic's own. The `SubscribeURL` is never
fetched, `UnsubscribeURL` not even read.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import structlog

from aws.sns.canonical import (
    UnverifiedMessage,
    VerifiedMessage,
    message_type,
    unverified_message,
)
from aws.sns.certificates import Certificates
from aws.sns.signature import allowed_versions, verified
from aws.sns.topics import Topic, is_certificate_url, topics_by_arn
from errors import WebhookForgedError, WebhookMalformedError, WebhookUnverifiableError
from service.completion.events import ObjectEvent
from service.completion.sources import eventbridge, s3
from service.completion.sources.fields import json_object

_LONGEST_RETRY_SECONDS = 3600
_CLOCK_DOUBT = timedelta(days=1)
_FUTURE_SKEW = timedelta(minutes=5)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_TOPIC_HEADER = "x-amz-sns-topic-arn"
_ECHOED = {
    "x-amz-sns-message-type": "Type",
    "x-amz-sns-message-id": "MessageId",
    _TOPIC_HEADER: "TopicArn",
}

_log = structlog.get_logger(__name__)


class SnsReceiver:
    """Implements the completion room's port NotificationReceiver.

    `topic_arns` is the exact allow-list. `confirm` takes a topic's ARN and a token, and tells SNS
    by its API. `max_age_seconds` must exceed the hour for which SNS repeats a delivery; within it
    a repeated message gives the same dedupe keys, so the inbox takes its events once. Raises
    ValueError for a setting that cannot be right.
    """

    def __init__(
        self,
        *,
        topic_arns: frozenset[str],
        sha256_only: bool,
        certificates: Certificates,
        confirm: Callable[[str, str], Awaitable[None]],
        clock: Callable[[], datetime],
        max_age_seconds: int = 7200,
    ) -> None:
        if max_age_seconds <= _LONGEST_RETRY_SECONDS:
            raise ValueError("max_age_seconds must be more than 3,600: SNS retries for that long")
        self._topics = topics_by_arn(topic_arns)
        self._versions = allowed_versions(sha256_only=sha256_only)
        self._certificates = certificates
        self._confirm = confirm
        self._clock = clock
        self._max_age = timedelta(seconds=max_age_seconds)

    def admit(self, headers: Mapping[str, str]) -> None:
        """SNS names the topic in the head of each message of its three types. Anybody can, so it
        proves nothing; but who does not is no SNS, and raw delivery carries no signature.
        """
        _refuse_raw_delivery(headers)
        named = headers.get(_TOPIC_HEADER)
        if named is None:
            # A proxy may have dropped it: a final word would lose what is genuine.
            raise WebhookUnverifiableError("The message's head names no topic")
        if named not in self._topics:
            raise WebhookForgedError("The message's head names no topic that is listened to here")

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> list[ObjectEvent]:
        """The objects that a delivery tells of; [] for all that is not about objects.

        Raises WebhookForgedError, WebhookMalformedError or WebhookUnverifiableError. The content
        type is not looked at: SNS says text/plain.
        """
        untrusted = json_object(body)
        _refuse_raw_delivery(headers)
        message_type(untrusted.get("Type"))
        topic = self._topic(untrusted.get("TopicArn"))
        _check_echoes(untrusted, headers)
        message = unverified_message(untrusted)
        self._check_proof(message, topic)
        self._check_age(message)
        key = await self._certificates.key_at(message["SigningCertURL"])
        return await self._act_on(verified(message, key), topic)

    async def _act_on(self, message: VerifiedMessage, topic: Topic) -> list[ObjectEvent]:
        if message["Type"] == "SubscriptionConfirmation":
            await self._confirm(topic.arn, message["Token"])
            return []
        if message["Type"] == "UnsubscribeConfirmation":
            _log.warning("sns_unsubscribed", topic_arn=topic.arn)
            return []
        told = json_object(message["Message"])
        if eventbridge.is_event(told):  # from a rule whose target is the topic
            return eventbridge.parse(told, source="sns")
        return s3.parse(told, fallback_id=message["MessageId"], source="sns")

    def _topic(self, arn: object) -> Topic:
        if not isinstance(arn, str):
            raise WebhookMalformedError("The message names no topic")
        topic = self._topics.get(arn)
        if topic is None:
            raise WebhookForgedError("The message is of a topic that is not listened to here")
        return topic

    def _check_age(self, message: UnverifiedMessage) -> None:
        age = self._clock() - _timestamp(message["Timestamp"])
        if -_FUTURE_SKEW <= age <= self._max_age:
            return
        if -_CLOCK_DOUBT <= age <= _CLOCK_DOUBT:
            # It may be this machine's clock: a final answer would lose what is genuine. Where it
            # costs no fetch, who only says so gets one.
            key = self._certificates.kept(message["SigningCertURL"])
            if key is not None:
                verified(message, key)
            raise WebhookUnverifiableError("The message is too old, or from the future")
        raise WebhookForgedError("The message is of another day")

    def _check_proof(self, message: UnverifiedMessage, topic: Topic) -> None:
        if message["SignatureVersion"] not in self._versions:
            raise WebhookForgedError("The message is not signed in a way that is accepted here")
        if not is_certificate_url(message["SigningCertURL"], topic):
            raise WebhookForgedError("The signing certificate is not at the topic's own address")


def _refuse_raw_delivery(headers: Mapping[str, str]) -> None:
    if headers.get("x-amz-sns-rawdelivery", "false").strip().lower() != "false":
        raise WebhookForgedError("Raw delivery has no signature: switch it off at the subscription")


def _check_echoes(untrusted: Mapping[str, object], headers: Mapping[str, str]) -> None:
    for header, field in _ECHOED.items():
        if header in headers and headers[header] != untrusted.get(field):
            raise WebhookForgedError("The message's headers and its body do not agree")


def _timestamp(value: str) -> datetime:
    try:
        if _TIMESTAMP.fullmatch(value):
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    raise WebhookMalformedError("The message's timestamp is not SNS's")
