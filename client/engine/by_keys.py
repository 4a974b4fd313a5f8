"""With temporary credentials: each piece's address is signed here, when it goes."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from client.engine.key_ring import KeyRing
from client.engine.plan import Piece, Plan
from client.engine.routes import PieceChecksums, RouteClosedError, Target
from client.engine.sigv4 import signed_put
from client.grants import Issued, now
from client.problems import ApiError, ClientError, CredentialsError, NetworkError
from client.retries import RetryPolicy
from client.wire import Upload


class ByKeys:
    """With a `patience` (where there is no other way) keys that cannot be had now are waited for;
    without, the route closes at once.
    """

    name = "credentials"

    def __init__(
        self,
        ring: KeyRing,
        record: Upload,
        plan: Plan,
        checksums: PieceChecksums,
        *,
        patience: RetryPolicy | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._ring = ring
        self._record = record
        self._plan = plan
        self._checksums = checksums
        self._patience = patience
        self._clock = clock

    async def target(self, piece: Piece) -> Target:
        headers = await self._headers(piece)
        issued = await self._keys()
        query = _query(self._plan, piece)
        url = signed_put(issued, self._record.key, headers, query, now=self._clock())
        return Target(url, headers, issued)

    def renounce(self, piece: Piece, target: Target) -> None:  # noqa: ARG002
        if isinstance(target.signed_with, Issued):
            self._ring.renounce(target.signed_with)

    async def _headers(self, piece: Piece) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self._plan.whole:
            # Sent again after a lost answer it must not write a second object.
            headers["If-None-Match"] = "*"
            headers["Content-Type"] = self._record.content_type or "application/octet-stream"
        if self._checksums.needed:
            headers[self._checksums.header] = await self._checksums.of(piece)
        return headers

    async def _keys(self) -> Issued:
        try:
            issued = await self._patiently()
        except ClientError as error:
            raise RouteClosedError(error) from error
        place = issued.place
        if self._record.bucket != place.bucket or not self._record.key.startswith(place.key_prefix):
            text = "the credentials do not reach the record's key"
            raise RouteClosedError(CredentialsError(text))
        return issued

    async def _patiently(self) -> Issued:
        attempt, spent = 0, 0.0
        while True:
            attempt += 1
            try:
                return await self._ring.current()
            except ClientError as error:
                wait = self._patience and passing(error) and self._patience.pause(attempt, spent)
                if not wait:
                    raise
            await asyncio.sleep(wait)
            spent += wait


def _query(plan: Plan, piece: Piece) -> dict[str, str | int]:
    if plan.multipart_id is None:
        return {}
    return {"partNumber": piece.number, "uploadId": plan.multipart_id}


def passing(error: ClientError) -> bool:
    """Whether the same may go well a while later."""
    if isinstance(error, CredentialsError):
        return error.passing
    if isinstance(error, ApiError):
        return error.retry_mode == "wait"
    return isinstance(error, NetworkError)
