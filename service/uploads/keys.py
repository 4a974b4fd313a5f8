"""Object keys, made by the server.

They hold letters, digits and `. _ - : /` only: whether an event source encodes keys differs by
source, and for these decoding twice changes nothing. The user's own name of the file is kept in
the record.
"""

import re
import unicodedata
from datetime import datetime

DEFAULT_TEMPLATE = "{upload_id}/{filename}"
MAX_KEY_BYTES = 1024  # S3's limit
MAX_NAME = 120
MAX_EXTENSION = 20
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def safe_name(filename: str) -> str:
    """An ASCII file name that says what it can of the original: `Ünï côde.PDF` → `Uni-code.PDF`.

    Never empty, never starting with a dot, at most 120 characters, its extension kept.
    """
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, extension = last.rpartition(".")
    if not dot:
        stem, extension = last, ""
    extension = _plain(extension)[:MAX_EXTENSION]
    if not extension:
        return (_plain(stem) or "file")[:MAX_NAME].rstrip(".-")
    return f"{_plain(stem)[: MAX_NAME - 1 - len(extension)].rstrip('.-') or 'file'}.{extension}"


def _plain(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return _UNSAFE.sub("-", ascii_text).strip(".-")


def object_key(template: str, prefix: str, upload_id: str, filename: str, at: datetime) -> str:
    """`prefix` ends in `/`. The upload's id, which every template holds, makes the key unique and
    untold in advance. Templates may name `{upload_id}`, `{filename}`, `{extension}` (with its
    dot, or empty), `{year}`, `{month}` and `{day}`.
    """
    name = safe_name(filename)
    _, dot, extension = name.rpartition(".")
    return prefix + template.format(
        upload_id=upload_id,
        filename=name,
        extension=f"{dot}{extension}" if dot else "",
        year=f"{at:%Y}",
        month=f"{at:%m}",
        day=f"{at:%d}",
    )


_TEMPLATE = re.compile(
    r"(?:[A-Za-z0-9._-]|/(?!/)|\{(?:upload_id|filename|extension|year|month|day)\})+"
)


_LONGEST = {
    "upload_id": "x" * 36,
    "filename": "x" * MAX_NAME,
    "extension": "x" * (1 + MAX_EXTENSION),
    "year": "9999",
    "month": "12",
    "day": "31",
}
_LONGEST_PREFIX = 200  # an identity's folder has 56 characters at most, a user's 135


def is_template(text: str) -> bool:
    """Whether keys made from it are safe: plain characters, no empty or dotted folders, the
    upload's id, and not too long.
    """
    plain = _TEMPLATE.fullmatch(text) is not None and len(text) <= MAX_NAME
    if not plain or "{upload_id}" not in text:
        return False
    # A name may have no extension: a folder must be one without it.
    folders = set(text.replace("{extension}", "").split("/"))
    longest = _LONGEST_PREFIX + len(text.format(**_LONGEST))
    return not {"", ".", ".."} & folders and longest <= MAX_KEY_BYTES
