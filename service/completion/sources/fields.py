"""The few kinds of field that all sources' messages are made of.

Every function raises WebhookMalformedError, and none repeats a value from the message in it: a
source's body may hold what is not for logs or for strangers.
"""

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import TypeGuard

from errors import WebhookMalformedError

MAX_KEY_BYTES = 1024  # S3's limit on a key, in UTF-8
MAX_TEXT_CHARS = 1024  # version ids are the longest of the other texts that are kept
MAX_SIZE = 2**63 - 1


def json_object(text: bytes | str) -> dict[str, object]:
    """The JSON object in `text`; bytes must be UTF-8."""
    try:
        parsed = json.loads(text.decode() if isinstance(text, bytes) else text)
    except (ValueError, RecursionError):
        raise WebhookMalformedError("The message is not JSON") from None
    if not isinstance(parsed, dict):
        raise WebhookMalformedError("The message is not a JSON object")
    return parsed


def mapping(value: object, name: str) -> Mapping[str, object]:
    """`value` as a JSON object; null and absent count as empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WebhookMalformedError(f"The message's {name} is not an object")
    return value


def sequence(value: object, name: str) -> list[object]:
    """`value` as a JSON array; null and absent count as empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise WebhookMalformedError(f"The message's {name} is not an array")
    return value


def object_key(value: object) -> str:
    """A key that can exist: 1 to 1,024 bytes of UTF-8, without NUL.

    Other control characters stay: stores take such keys (tried with SeaweedFS, documented as
    allowed by AWS), and to refuse their events would let a client hide bytes from the policy.
    NUL no store takes in a key, and no database in a text.
    """
    if not isinstance(value, str) or not value or not _is_storable(value):
        raise WebhookMalformedError("The message's object key is not text")
    if len(value.encode()) > MAX_KEY_BYTES:
        raise WebhookMalformedError("The message's object key is longer than a key can be")
    return value


def text(value: object, name: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS or not _is_storable(value):
        raise WebhookMalformedError(f"The message's {name} is not text")
    return value


def optional_text(value: object, name: str) -> str | None:
    """As text(); null, absent and empty are None."""
    return text(value, name) or None if value is not None else None


def optional_size(value: object) -> int | None:
    """A size in bytes."""
    if value is None:
        return None
    if not is_integer(value) or not 0 <= value <= MAX_SIZE:
        raise WebhookMalformedError("The message's object size is not a size")
    return value


def is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def real_version_id(value: str | None) -> str | None:
    """None for S3's "null" version: it names no one write, each overwrites the last."""
    return None if value == "null" else value


def compact_json(value: object) -> str:
    """As json.dumps(value, separators=(",", ":")), which prepares for longer than small values
    like these take to write: 3 µs instead of 10 for a dedupe key's parts. Names must be texts.
    """
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if isinstance(value, dict):
        members = [f"{compact_json(name)}:{compact_json(inner)}" for name, inner in value.items()]
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join([compact_json(inner) for inner in value])}]"
    return json.dumps(value)


def _is_storable(value: str) -> bool:
    # JSON can spell lone surrogates, which are no Unicode text and cannot be encoded.
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value
