"""Object keys, made by the server.

They hold letters, digits and `. _ - : /` only: whether an event source encodes keys differs by
source, and for these decoding twice changes nothing. The user's own name of the file is kept in
the record.
"""

import re
import unicodedata

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


def object_key(prefix: str, upload_id: str, filename: str) -> str:
    """`prefix` ends in `/`. The upload's id makes the key unique and untold in advance."""
    return f"{prefix}{upload_id}/{safe_name(filename)}"
