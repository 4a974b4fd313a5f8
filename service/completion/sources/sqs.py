"""What lies in a queue: S3's notification as S3 itself or SNS' raw delivery writes it, the same
wrapped by SNS, or an event of EventBridge.

SNS wraps as {"Type": "Notification", "MessageId", "Message": "<the message as text>"}. Its
signature is not looked at: who may send to the queue is what the queue's own policy says, and an
event only wakes the service.
"""

from collections.abc import Mapping

from errors import WebhookMalformedError
from service.completion.events import ObjectEvent
from service.completion.sources import eventbridge, s3
from service.completion.sources.fields import json_object

Json = Mapping[str, object]


def parse(body: str, *, message_id: str) -> list[ObjectEvent]:
    """The objects that were written or tagged; [] for a test event and for what is not about
    objects. `message_id` is the queue's. Raises WebhookMalformedError.
    """
    message: Json = json_object(body)
    if message.get("Type") == "Notification" and "Message" in message:
        message, message_id = _unwrapped(message, message_id)
    if eventbridge.is_event(message):
        return eventbridge.parse(message, source="sqs")
    return s3.parse(message, fallback_id=message_id, source="sqs")


def _unwrapped(notification: Json, message_id: str) -> tuple[Json, str]:
    """With SNS' own id, which stays the same should SNS send twice."""
    inner, sns_id = notification["Message"], notification.get("MessageId")
    if not isinstance(inner, str):
        raise WebhookMalformedError("The notification's message is not text")
    return json_object(inner), sns_id if isinstance(sns_id, str) else message_id
