"""Waiting until the service has verified what arrived: by asking, ever less often."""

import random
import time
from collections.abc import Callable

from client.api import Api
from client.problems import NotVerifiedError, RejectedError
from client.wire import Upload

# The service itself looks after an upload without news within 40 s or so.
DEADLINE_SECONDS = 120
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 3.0


def wait_until_settled(
    api: Api,
    upload_id: str,
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
) -> Upload:
    """The completed record, or the quarantined one: a verdict comes when it comes. Raises
    RejectedError when it ends otherwise, NotVerifiedError when it has not ended by then. `pause`
    may return something true to stop waiting.
    """
    deadline, delay = clock() + deadline_seconds, _FIRST_DELAY
    while True:
        upload = api.upload(upload_id)
        if upload.settled or upload.status == "quarantined":
            return _completed(upload)
        left = deadline - clock()
        if left <= 0 or pause(min(left, delay * (0.5 + jitter() / 2))):
            raise NotVerifiedError(f"upload {upload.id} is still {upload.status}")
        delay = min(_LONGEST_DELAY, delay * 1.6)


def _completed(upload: Upload) -> Upload:
    if upload.status in {"completed", "quarantined"}:
        return upload
    reason = upload.status_reason or "no reason was given"
    raise RejectedError(upload.status, f"upload {upload.id} is {upload.status}: {reason}")
