"""With addresses that the service signs, fetched a few at a time just before they are needed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from client.engine.plan import Piece
from client.engine.routes import CLOSED, PieceChecksums, RouteClosedError, Target
from client.grants import now
from client.problems import ApiError, BadAnswerError
from client.signed import Signed

_MARGIN = timedelta(seconds=10)
_LARGEST_BATCH = 1000


SignParts = Callable[[Sequence[int], Mapping[int, str]], Awaitable[Mapping[int, Signed]]]
"""Part numbers and their checksums, if any; addresses by part number. Raises ClientErrors."""


class ByAddresses:
    """`upcoming` are the pieces that go next, `skew` how far the service's clock is ahead.

    Only a few addresses at once: what is signed too early is out of date when its turn comes.
    """

    name = "presigned"

    def __init__(
        self,
        sign: SignParts,
        checksums: PieceChecksums,
        *,
        upcoming: Callable[[int], Sequence[Piece]],
        batch: int,
        skew: timedelta = timedelta(0),
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._sign = sign
        self._checksums = checksums
        self._upcoming = upcoming
        self._batch = min(batch, _LARGEST_BATCH)
        self._skew = skew
        self._clock = clock
        self._known: dict[int, Signed] = {}
        self._asking = asyncio.Lock()

    async def target(self, piece: Piece) -> Target:
        signed = self._good(piece)
        if signed is None:
            async with self._asking:  # whoever waited may find its own among the others'
                signed = self._good(piece) or await self._asked(piece)
        return Target(signed.url, signed.headers, signed)

    def renounce(self, piece: Piece, target: Target) -> None:
        if self._known.get(piece.number) is target.signed_with:
            del self._known[piece.number]

    def _good(self, piece: Piece) -> Signed | None:
        signed = self._known.get(piece.number)
        if signed is None or signed.expires_at <= self._clock() + self._skew + _MARGIN:
            return None
        return signed

    async def _asked(self, piece: Piece) -> Signed:
        pieces = self._with_others(piece)
        checksums = {}
        if self._checksums.needed:
            checksums = {each.number: await self._checksums.of(each) for each in pieces}
        try:
            answer = await self._sign([each.number for each in pieces], checksums)
        except ApiError as error:
            if error.code in CLOSED:
                raise RouteClosedError(error) from error
            raise
        # What is left of earlier batches is as old as they are.
        self._known = {**{n: s for n, s in self._known.items() if self._fresh(s)}, **answer}
        try:
            return answer[piece.number]
        except KeyError:
            raise BadAnswerError(f"the service signed no address for part {piece.number}") from None

    def _with_others(self, piece: Piece) -> list[Piece]:
        others = [other for other in self._upcoming(self._batch) if self._good(other) is None]
        return [piece, *(other for other in others if other != piece)][: self._batch]

    def _fresh(self, signed: Signed) -> bool:
        return signed.expires_at > self._clock() + self._skew + _MARGIN
