"""The door for the SeaweedFS filer: a bearer token, compared in constant time.

Whoever holds the token can forge events, so an event only wakes the service: what counts is what
the store answers.
"""

import hmac
from collections.abc import Mapping, Sequence

from errors import WebhookForgedError
from service.completion.events import ObjectEvent
from service.completion.sources import seaweedfs

_SCHEME = "bearer "


class FilerReceiver:
    """Implements service.completion.ports.NotificationReceiver. Two tokens may be good at once,
    while one is being replaced.
    """

    def __init__(self, *, tokens: Sequence[str], bucket: str) -> None:
        self._tokens = [token.encode() for token in tokens]
        self._bucket = bucket

    def admit(self, headers: Mapping[str, str]) -> None:
        """Raises WebhookForgedError."""
        given = headers.get("authorization", "")
        if not given.lower().startswith(_SCHEME) or not self._known(given[len(_SCHEME) :].strip()):
            raise WebhookForgedError

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> list[ObjectEvent]:
        self.admit(headers)
        event = seaweedfs.parse(body, bucket=self._bucket)
        return [] if event is None else [event]

    def _known(self, token: str) -> bool:
        """Every token is compared, so that time tells nothing."""
        given = token.encode("utf-8", "surrogatepass")
        matches = [hmac.compare_digest(given, known) for known in self._tokens]
        return any(matches)
