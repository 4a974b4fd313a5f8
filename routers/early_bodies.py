"""Bodies of those who have proven nothing: read before a place behind a gate is taken."""

from starlette.types import Receive

from errors import OverloadedError, RequestTimeoutError
from routers.doors import received_body
from routers.middleware.promptly import Crowd, within

# No settings: SNS sends 256 KiB at most, in one go, and gives an answer 15 s in all.
_SECONDS = 5.0
_WAITED_FOR = 256
_HELD = 64 * 1024 * 1024
_COME_AGAIN_SECONDS = 2


class EarlyBodies:
    """A body has `seconds`; `waited_for` may be incomplete at once, and those read hold `held`
    bytes in all until they are released: who is beyond that may come again.
    """

    def __init__(
        self, *, seconds: float = _SECONDS, waited_for: int = _WAITED_FOR, held: int = _HELD
    ) -> None:
        self._seconds = seconds
        self._crowd = Crowd(waited_for)
        self._left = held

    async def read(self, receive: Receive) -> bytes:
        """To be released, whatever comes of it. Raises RequestTimeoutError, OverloadedError, what
        BodyLimit raises, and ClientDisconnect.
        """
        try:
            body = await within(self._seconds, received_body(receive), crowd=self._crowd)
        except TimeoutError:
            raise RequestTimeoutError from None
        if len(body) > self._left:
            raise OverloadedError(retry_after=_COME_AGAIN_SECONDS)
        self._left -= len(body)
        return body

    def release(self, body: bytes) -> None:
        self._left += len(body)
