"""One event, a test message, and what a page's stream looks like, for the OpenAPI document."""

import json
from typing import Any

UPLOAD_EVENT: dict[str, Any] = {
    "type": "upload.completed",
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "data": {
        "sequence": 7,
        "previous_status": "uploading",
        "upload": {
            "id": "upl_0b9f6a5c1d2e4f30a1b2c3d4e5f60718",
            "user_id": "usr_4f1c2b3a",
            "status": "completed",
            "status_reason": None,
            "origin": "api",
            "transport": "credentials",
            "profile": "default",
            "filename": "holiday.mp4",
            "content_type": "video/mp4",
            "size": 734003200,
            "checksum": None,
            "etag": "9b2cf535f27731c974343645a3985328-88",
            "version_id": None,
            "bucket": "uploads",
            "key": "us-east-1:0d1e/upl_0b9f6a5c1d2e4f30a1b2c3d4e5f60718/holiday.mp4",
            "metadata": {"album": "summer"},
            "created_at": "2026-01-02T03:00:00Z",
            "updated_at": "2026-01-02T03:04:05.678901Z",
            "completed_at": "2026-01-02T03:04:05.678901Z",
        },
    },
}
TEST_EVENT: dict[str, Any] = {
    "type": "webhook.test",
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "data": {"endpoint_id": "whe_5f0c9a8b7d6e5f40a1b2c3d4"},
}
_EVENT = (
    f"event: upload.completed\ndata: {json.dumps(UPLOAD_EVENT, separators=(',', ':'))}\nid: 7\n\n"
)


def _ready(place: int, newest: int) -> str:
    return (
        f'event: ready\ndata: {{"sequence":{newest},"heartbeat_seconds":15}}\nid: {place}\n'
        "retry: 3000\n\n"
    )


STREAMS = {
    "new": {
        "summary": "A page that is new: it hears of what happens from now on",
        "value": _ready(6, 6) + _EVENT + ': \n\nevent: end\ndata: {"reason":"token_expired"}\n\n',
    },
    "back": {
        "summary": "One that comes back with `Last-Event-ID: 6`",
        "value": _ready(6, 7) + _EVENT,
    },
    "reset": {
        "summary": "One that has been away for longer than events are kept",
        "value": _ready(2, 7) + 'event: reset\ndata: {"sequence":7}\nid: 7\n\n',
    },
}
