"""The Content-Range of a request (RFC 9110, 14.4), checked against its Content-Length."""

import re

from errors import InvalidRequestError
from service.uploads.plan import LARGEST_OBJECT
from service.uploads.relay import ContentRange

_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})", re.ASCII)
_LENGTH = re.compile(r"[1-9][0-9]{0,15}")


def content_range(given: str | None, content_length: str | None) -> ContentRange | None:
    """Without one, the whole of a body of known length; None where that is not known, or nothing.
    Raises InvalidRequestError.
    """
    if given is None:
        return _whole(content_length or "")
    found = _RANGE.fullmatch(given.strip())
    if found is None:
        raise InvalidRequestError("Content-Range is `bytes FIRST-LAST/TOTAL`")
    start, end, total = map(int, found.groups())
    if not start <= end < total <= LARGEST_OBJECT:
        raise InvalidRequestError("Content-Range names no range of the file")
    if content_length is not None and content_length != str(end - start + 1):
        raise InvalidRequestError("Content-Range and Content-Length differ")
    return ContentRange(start, end, total)


def _whole(content_length: str) -> ContentRange | None:
    found = _LENGTH.fullmatch(content_length)
    return ContentRange(0, int(found[0]) - 1, int(found[0])) if found else None
