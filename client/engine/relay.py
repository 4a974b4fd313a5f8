"""Through the service, for a client that cannot reach the store: one stream, in the file's order.

It has to begin with a part and to end with one, so runs of stored parts are passed over.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from client.api import Api
from client.engine.answers import CutError, UnreachableError
from client.engine.body import Body, Source
from client.engine.plan import Piece, Plan, runs
from client.engine.sending import Answer, Sender
from client.engine.tries import Tries
from client.engine.tuning import Tuning
from client.engine.watchdog import Watchdog
from client.http import problem
from client.problems import ApiError, ClientError
from client.wire import ARRIVED, Upload

Look = Callable[[], Awaitable[tuple[Upload, list[Piece]]]]
"""The record as it is now, and the pieces that the store does not have."""


class Relay:
    """`stored` is told of each piece that the service has put into the store."""

    name = "relay"

    def __init__(
        self,
        api: Api,
        sender: Sender,
        source: Source,
        tuning: Tuning,
        *,
        look: Look,
        stored: Callable[[Piece], None],
    ) -> None:
        self._api = api
        self._sender = sender
        self._source = source
        self._tuning = tuning
        self._look = look
        self._stored = stored

    async def run(self, record: Upload, plan: Plan, pieces: Sequence[Piece]) -> Upload:
        """The record, completed by the service itself if these were all that was missing. Raises
        ClientErrors.
        """
        missing, tries = list(pieces), Tries(self._tuning)
        while missing and record.status not in ARRIVED:
            run = runs(missing)[0]
            record, missing = await self._sent(record, plan, run, missing, tries)
        return record

    async def _sent(
        self, record: Upload, plan: Plan, run: list[Piece], missing: list[Piece], tries: Tries
    ) -> tuple[Upload, list[Piece]]:
        """After one request: the record and what is missing now."""
        length = sum(piece.length for piece in run)
        watchdog = Watchdog(self._tuning.stall_seconds)
        body = Body(self._source, run[0].offset, length, watchdog)
        kept = 0
        try:
            record = await self._put(record, plan, body, watchdog)
            missing = missing[len(run) :]
            kept = self._told_stored(run)
        except (ApiError, CutError, UnreachableError) as error:
            if not _worth_it(error):
                raise
            record, missing = await self._look()
            kept = self._told_stored(_head(run, record, missing))
            await self._pause(error, kept, tries)
        finally:
            body.take_back(kept)
        return record, missing

    def _told_stored(self, pieces: Sequence[Piece]) -> int:
        """Their bytes."""
        for piece in pieces:
            self._stored(piece)
        return sum(piece.length for piece in pieces)

    async def _pause(self, error: ClientError, kept: int, tries: Tries) -> None:
        if kept:
            tries.it_moves()
        await tries.wait(error, error.retry_after if isinstance(error, ApiError) else None)

    async def _put(self, record: Upload, plan: Plan, body: Body, watchdog: Watchdog) -> Upload:
        url = self._api.content_url(record.id)
        headers = {"Content-Type": "application/octet-stream", **_range(plan, body)}
        token = await self._source.threads.call(self._api.access_token)
        answer = await self._sender.put(url, headers | _bearer(token), body, watchdog)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            token = await self._source.threads.call(self._api.renewed_token, token)
            answer = await self._sender.put(url, headers | _bearer(token), body, watchdog)
        return _record(answer)


def _head(run: Sequence[Piece], record: Upload, missing: Sequence[Piece]) -> list[Piece]:
    """How far the run has come."""
    if record.status in ARRIVED:
        return list(run)
    left = {piece.number for piece in missing}
    first = next((i for i, piece in enumerate(run) if piece.number in left), len(run))
    return list(run[:first])


def _worth_it(error: ClientError) -> bool:
    if isinstance(error, ApiError):
        return error.retry_mode == "wait" or error.code == "content_range"
    return True


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _range(plan: Plan, body: Body) -> dict[str, str]:
    """RFC 9110, 14.4. A file that goes in one request needs none."""
    if plan.whole:
        return {}
    first, length = body.offset, body.size or 0
    return {"Content-Range": f"bytes {first}-{first + length - 1}/{plan.size}"}


def _record(answer: Answer) -> Upload:
    try:
        found: Any = json.loads(answer.body)
    except ValueError:
        found = None
    content: dict[str, Any] = found if isinstance(found, dict) else {}
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return Upload.read(content)
    raise problem(answer.status, answer.reason, answer.headers, content)
