"""How the page hears: server-sent events."""

from typing import Annotated

from fastapi import APIRouter, Header, status

import errors
from routers.caller import Uploader
from routers.event_stream import EventStream
from routers.failures import CALLER
from routers.problems import responses
from routers.services import Wired

router = APIRouter(prefix="/v1/events", tags=["events"])

_STREAM = (*CALLER, errors.TooManyStreamsError)
_MOST = 2**63 - 1
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="The last id that was seen: the stream goes on after it. What is no id of "
        "this stream's is ignored.",
    ),
]


@router.get(
    "",
    operation_id="stream_events",
    summary="Hear what becomes of uploads",
    status_code=status.HTTP_200_OK,
    response_class=EventStream,
    responses=responses(*_STREAM),
)
async def stream_events(
    caller: Uploader, services: Wired, last_event_id: LastEventId = None
) -> EventStream:
    """Server-sent events of the caller's uploads, each once and in order: `event` is its type,
    `id` its place among the caller's, `data` the JSON that webhooks get.

    `ready` comes first, with the id to go on from. `reset` says that events since the last id are
    gone: list the uploads again. `end` is the last: `{"reason": "token_expired"}` (come back with
    a new token) or `{"reason": "server_going"}` (come back). Comments keep the connection open;
    without one for several times `ready`'s `heartbeat_seconds` it is dead.

    The token goes in the Authorization header, never in the address: read it with a streaming
    fetch.
    """
    streams = services.streams
    opening = streams.opened(
        caller.user_id,
        expires_at=caller.expires_at,
        after=_number(last_event_id),
        stands=lambda: services.accounts.stands(caller),
    )
    return EventStream(opening, streams.times)


def _number(last_event_id: str | None) -> int | None:
    """As the standard has it: an id that means nothing is as good as none."""
    if last_event_id is None or len(last_event_id) > 19:  # noqa: PLR2004 - digits of the largest
        return None
    if not (last_event_id.isascii() and last_event_id.isdecimal()):
        return None
    number = int(last_event_id)
    return number if number <= _MOST else None
