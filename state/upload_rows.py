"""An upload as a row, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from enum import Enum
from typing import Any

from service.uploads.model import Checksum, Origin, Transport, Upload, UploadStatus

_CHECKSUMS = ("checksum", "declared_checksum")


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As the columns hold them."""
    return {name: _column_value(value) for name, value in values.items()}


def _column_value(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case Checksum():
            return asdict(value)
        case Mapping():
            return dict(value)
        case _:
            return value


def row_of(upload: Upload) -> dict[str, Any]:
    return plain({part.name: getattr(upload, part.name) for part in fields(Upload)})


def upload_of(row: Mapping[Any, Any]) -> Upload:
    values = dict(row)
    for name in _CHECKSUMS:
        if values[name] is not None:
            values[name] = Checksum(**values[name])
    values["status"] = UploadStatus(values["status"])
    values["origin"] = Origin(values["origin"])
    values["transport"] = Transport(values["transport"])
    return Upload(**values)


def first(rows: Sequence[Mapping[Any, Any]]) -> Upload | None:
    return upload_of(rows[0]) if rows else None
