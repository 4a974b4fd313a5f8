"""The cursor on the wire: opaque to clients, and nothing is believed of it."""

import base64
import binascii
from datetime import UTC, datetime

from errors import InvalidRequestError
from service.uploads.ports import Cursor


def encode(cursor: Cursor) -> str:
    text = f"{cursor.created_at.isoformat()}|{cursor.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(text: str) -> Cursor:
    """Raises InvalidRequestError."""
    try:
        padded = text + "=" * (-len(text) % 4)
        plain = base64.b64decode(padded, b"-_", validate=True).decode("ascii")
        moment, _, upload_id = plain.partition("|")
        created_at = datetime.fromisoformat(moment)
        in_utc = created_at.astimezone(UTC)
    except (ValueError, OverflowError, binascii.Error):
        raise _no_cursor() from None
    if created_at.tzinfo is None or not upload_id.isprintable():
        raise _no_cursor()
    return Cursor(in_utc, upload_id)


def _no_cursor() -> InvalidRequestError:
    return InvalidRequestError("The cursor is not one that this service gave")
