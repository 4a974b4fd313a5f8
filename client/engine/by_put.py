"""With the one address that the service signs for a file that goes in one request."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from client.engine.plan import Piece
from client.engine.routes import RouteClosedError, Target
from client.grants import now
from client.problems import TransferError
from client.signed import Signed

_MARGIN = timedelta(seconds=10)


class ByPut:
    """`renew` answers the address signed anew, None where there is none any more."""

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
            signed = self._signed = await self._renew()
        if signed is None:
            raise RouteClosedError(TransferError("the service signs no address for this upload"))
        return Target(signed.url, signed.headers, signed)

    def renounce(self, piece: Piece, target: Target) -> None:  # noqa: ARG002
        if self._signed is target.signed_with:
            self._signed = None
