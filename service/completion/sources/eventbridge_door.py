"""The door for an API destination of EventBridge: an API key, compared in constant time.

EventBridge signs nothing, so whoever holds the key can forge events; an event only wakes the
service: what counts is what the store answers.
"""

import hmac
from collections.abc import Mapping, Sequence

from errors import WebhookForgedError
from service.completion.events import ObjectEvent
from service.completion.sources import eventbridge


class EventBridgeReceiver:
    """Implements service.completion.ports.NotificationReceiver. `header` carries the key, alone.
    Several keys may be good at once, while one is being replaced.
    """

    def __init__(self, *, keys: Sequence[str], header: str) -> None:
        self._keys = [key.encode() for key in keys]
        self._header = header.lower()

    def admit(self, headers: Mapping[str, str]) -> None:
        """Raises WebhookForgedError."""
        if not self._known(headers.get(self._header, "").strip()):
            raise WebhookForgedError

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> list[ObjectEvent]:
        self.admit(headers)
        return eventbridge.parse(body, source="eventbridge")

    def _known(self, key: str) -> bool:
        """Every key is compared, so that time tells nothing."""
        given = key.encode("utf-8", "surrogatepass")
        matches = [hmac.compare_digest(given, known) for known in self._keys]
        return any(matches)
