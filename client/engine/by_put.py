"""With the one address that the service signs for a file that goes in one request."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from client.engine.plan import Piece
from client.engine.routes import CLOSED, RouteClosedError, Target
from client.grants import now
from client.problems import ApiError, BadAnswerError
from client.signed import Signed

_MARGIN = timedelta(seconds=10)


class ByPut:
    """`renew` answers the address signed anew, and switches the transport where that is needed;
    None where there is no address any more.
    """

    name = "presigned"

    def __init__(
        self,
        first: Signed | None,
        renew: Callable[[], Awaitable[Signed | None]],
        *,
        skew: timedelta = timedelta(0),
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._signed = first
        self._renew = renew
        self._skew = skew
        self._clock = clock

    async def target(self, piece: Piece) -> Target:  # noqa: ARG002 - there is but one
        signed = self._signed
        if signed is None or signed.expires_at <= self._clock() + self._skew + _MARGIN:
            signed = self._signed = await self._renewed()
        return Target(signed.url, signed.headers, signed)

    async def _renewed(self) -> Signed:
        try:
            signed = await self._renew()
        except ApiError as error:
            if error.code in CLOSED:
                raise RouteClosedError(error) from error
            raise
        if signed is None:
            raise BadAnswerError("the service signed no address for this upload")
        return signed

    def renounce(self, piece: Piece, target: Target) -> None:  # noqa: ARG002
        if self._signed is target.signed_with:
            self._signed = None
