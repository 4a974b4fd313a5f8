"""How the page hears: server-sent events."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, status

import errors
from routers.caller import Uploader
from routers.event_examples import STREAMS
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
        description="The last `id` that was seen: the stream goes on after it. What is no number "
        "is as good as none: the stream tells what happens from now on. After a number that this "
        "user's events do not have, or have no more, comes `reset`.",
    ),
]
_EVENTS: dict[int | str, dict[str, Any]] = {
    status.HTTP_200_OK: {
        "description": "Until the token expires. `data` of an upload's event is an `UploadEvent`, "
        "that of `identity.changed` an `IdentityChangedEvent`.",
        "content": {EventStream.media_type: {"examples": STREAMS}},
    }
}


@router.get(
    "",
    operation_id="stream_events",
    summary="Hear what becomes of uploads",
    status_code=status.HTTP_200_OK,
    response_class=EventStream,
    responses=_EVENTS | responses(*_STREAM),
)
async def stream_events(
    caller: Uploader, services: Wired, last_event_id: LastEventId = None
) -> EventStream:
    """Server-sent events of the caller's uploads, each once and in order: `event` is its type,
    `id` its place among all events of the caller (`sequence` in its `data`), `data` the JSON that
    webhooks get. The types are those of the webhooks, `upload.quarantined` among them, and
    `upload.uploading`, which only pages are told: addresses of parts were asked for, or another
    transport.

    **To go on after a cut**, send the last `id` that came, of whichever event, as `Last-Event-ID`.

    `ready` comes first: its `id` is the place after which the stream goes on, `sequence` in its
    `data` the newest there is (what lies between them follows), and `retry: 3000` the milliseconds
    to wait before coming back.

    `reset` says that events after the last id are kept no more, or that there never was such an
    id: list the uploads again. Its `data` is `{"sequence": N}`, the newest there is, and so is its
    `id`, from which the stream goes on.

    `end` is the last, without an `id`: `{"reason": "token_expired"}` (come back with a new token)
    or `{"reason": "server_going"}` (come back, after the `retry` that comes with it).

    Comments keep the connection open; without one for several times `ready`'s `heartbeat_seconds`
    it is dead.

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
