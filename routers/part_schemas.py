"""Parts on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from pydantic_core import to_json

from routers.upload_schemas import ChecksumSchema, right_length
from service.uploads.model import ChecksumAlgorithm
from service.uploads.plan import MOST_PARTS
from service.uploads.ports import StoredPart
from service.uploads.signed import PartTerms, SignedRequest

MOST_AT_ONCE = 1000
_MOMENT = TypeAdapter(datetime)
PartNumber = Annotated[int, Field(strict=True, ge=1, le=MOST_PARTS)]


class PartsRequest(BaseModel):
    """At most 1,000 parts a call, each once."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"part_numbers": [1, 2, 3]}]}
    )

    part_numbers: list[PartNumber] = Field(min_length=1, max_length=MOST_AT_ONCE)
    checksums: dict[str, Annotated[str, Field(max_length=16)]] = Field(
        default_factory=dict,
        max_length=MOST_AT_ONCE,
        description="By part number, each part's own checksum in base64, of the algorithm that "
        "`multipart.checksum_algorithm` names: signed into the part's headers.",
        examples=[{"1": "DUoRhQ=="}],
    )

    @model_validator(mode="after")
    def _named_parts_only(self) -> "PartsRequest":
        named = self.checksums.keys()
        if named and not named <= {str(number) for number in self.part_numbers}:
            raise ValueError("a checksum is given for a part that is not asked for")
        return self

    def terms(self, algorithm: ChecksumAlgorithm | None) -> list[PartTerms]:
        """Raises ValueError for a checksum that is none of this algorithm."""
        if not self.checksums:
            return [PartTerms(number) for number in self.part_numbers]
        return [self._terms(number, algorithm) for number in self.part_numbers]

    def _terms(self, number: int, algorithm: ChecksumAlgorithm | None) -> PartTerms:
        value = self.checksums.get(str(number))
        if value is None:
            return PartTerms(number)
        if algorithm is None:
            raise ValueError("this upload's parts have no checksums")
        checksum = right_length(ChecksumSchema(algorithm=algorithm, value=value)).checked()
        return PartTerms(number, checksum=checksum)


class SignedPart(BaseModel):
    """PUT the part's bytes there, with exactly these headers, before `expires_at`."""

    part_number: int
    url: str
    headers: dict[str, str]
    expires_at: datetime


class SignedParts(BaseModel):
    parts: list[SignedPart]

    @classmethod
    def of(cls, asked: PartsRequest, signed: Sequence[SignedRequest]) -> "SignedParts":
        return cls(
            parts=[
                SignedPart(
                    part_number=number,
                    url=part.url,
                    headers=dict(part.headers),
                    expires_at=part.expires_at,
                )
                for number, part in zip(asked.part_numbers, signed, strict=True)
            ]
        )


def as_json(asked: PartsRequest, signed: Sequence[SignedRequest]) -> bytes:
    """SignedParts, byte for byte as FastAPI writes it, at a fifth of the cost: what was made here
    a moment ago needs no check, and one batch ends at one moment.
    """
    moments = {part.expires_at: "" for part in signed}
    for moment in moments:
        moments[moment] = _MOMENT.dump_python(moment, mode="json")
    parts = [
        {
            "part_number": number,
            "url": part.url,
            "headers": part.headers,
            "expires_at": moments[part.expires_at],
        }
        for number, part in zip(asked.part_numbers, signed, strict=True)
    ]
    return to_json({"parts": parts})


class PartSchema(BaseModel):
    part_number: int
    size: int = Field(description="In bytes.")
    etag: str


class PartList(BaseModel):
    """All the parts that the store has, by number."""

    items: list[PartSchema]

    @classmethod
    def of(cls, parts: Sequence[StoredPart]) -> "PartList":
        return cls(
            items=[
                PartSchema(part_number=part.number, size=part.size, etag=part.etag)
                for part in parts
            ]
        )
