"""What the log hears of a source's messages that are refused."""

import time
from collections import Counter
from collections.abc import Callable

import structlog

from errors import UploadgateError

_log = structlog.get_logger("uploadgate.webhooks")
_PAUSE = 1.0


class Refusals:
    """Of one source. Anybody may knock at its door, so of each kind one a second is told, with how
    many before it were not.
    """

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._silent_until: dict[str, float] = {}  # by code, of which there are a few
        self._untold: Counter[str] = Counter()

    def tell(self, error: UploadgateError) -> None:
        now = self._clock()
        if now < self._silent_until.get(error.code, 0.0):
            self._untold[error.code] += 1
            return
        # Nothing of the message: its body, like its proof, is anybody's.
        _log.warning(
            "webhook.refused",
            source=self._source,
            code=error.code,
            detail=str(error),
            untold=self._untold.pop(error.code, 0),
        )
        self._silent_until[error.code] = now + _PAUSE
