"""What is known of a Cognito that is not well, so that not everybody finds out by waiting."""

from datetime import timedelta

from errors import UploadgateError
from service.clock import Clock

LASTS = timedelta(minutes=1)
PROBE_EVERY = timedelta(seconds=3)


class Trouble:
    """The last failure, believed for a minute or until a call succeeds. Who has another way goes
    it at once, but for one caller every few seconds, who tries.

    Only the failure's kind is kept: the rest was one caller's, and an error that is raised again
    and again would keep the frames of all its callers.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kind: type[UploadgateError] | None = None
        self._until = self._probe_at = clock()

    def met(self, error: UploadgateError) -> None:
        now = self._clock()
        self._kind = type(error)
        self._until, self._probe_at = now + LASTS, now + PROBE_EVERY

    def over(self) -> None:
        self._kind = None

    def check(self) -> None:
        """Raises the last failure for as long as it is believed."""
        if self._kind is not None and self._clock() < self._until:
            raise self._kind

    def check_or_probe(self) -> None:
        """The same, but lets the one pass whose turn it is to try."""
        now = self._clock()
        if now < self._probe_at:
            self.check()
        else:
            self._probe_at = now + PROBE_EVERY
