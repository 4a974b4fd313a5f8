"""What the log hears of a source's messages that are refused."""

import time
from collections.abc import Callable

import structlog

from errors import UploadgateError

_log = structlog.get_logger("uploadgate.webhooks")
_PAUSE = 1.0


class Refusals:
    """Of one source. Anybody may knock at its door, so one a second is told, with how many before
    it were not.
    """

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._silent_until = 0.0
        self._untold = 0

    def tell(self, error: UploadgateError) -> None:
        now = self._clock()
        if now < self._silent_until:
            self._untold += 1
            return
        # Nothing of the message: its body, like its proof, is anybody's.
        _log.warning(
            "webhook.refused",
            source=self._source,
            code=error.code,
            detail=str(error),
            untold=self._untold,
        )
        self._silent_until, self._untold = now + _PAUSE, 0
