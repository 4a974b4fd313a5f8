"""Retry-After, as RFC 9110 §10.2.3 has it: seconds, or an HTTP date."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)
_LONGEST = 64


def retry_after(value: str | None, now: datetime) -> float | None:
    """In seconds, 0 for what is past; None for none, or for nonsense."""
    if value is None or len(value) > _LONGEST:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
