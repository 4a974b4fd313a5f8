"""What is wrong with a request, field by field, in words for whoever wrote the client: pydantic's
own are for who wrote the service.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

# A body can be wrong in thousands of places; a few are enough to learn from.
_MOST_FIELDS = 20
_MEMBER = re.compile(r"<\w+\.\w+: ('[^']*'|\d+)>")
_IN_JSON = {
    "dict_type": "Input should be an object",
    "list_type": "Input should be an array",
    "model_attributes_type": "Input should be an object",
    "model_type": "Input should be an object",
}


class InvalidField(BaseModel):
    """One thing wrong with a request. The value itself is never sent back."""

    pointer: str = Field(description="JSON pointer into the request, its source first.")
    message: str
    type: str


def invalid_fields(found: Sequence[Mapping[str, Any]]) -> list[InvalidField]:
    return [
        InvalidField(
            pointer="".join(f"/{_pointer_step(part)}" for part in entry["loc"]),
            message=_message(entry),
            type=entry["type"],
        )
        for entry in found[:_MOST_FIELDS]
    ]


def _message(entry: Mapping[str, Any]) -> str:
    kind, text = entry["type"], str(entry["msg"])
    if kind == "value_error":
        own = str(entry["ctx"]["error"])
        return own[:1].upper() + own[1:]
    if kind == "literal_error":
        return _MEMBER.sub(r"\1", text)
    return _IN_JSON.get(kind, text)


def _pointer_step(part: object) -> str:
    """RFC 6901: `~` and `/` within a name are escaped."""
    return str(part).replace("~", "~0").replace("/", "~1")
