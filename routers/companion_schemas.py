"""The words of Uppy's Companion, versions 4 to 6."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    FailFast,
    Field,
    StringConstraints,
    ValidationError,
)

from routers.s3_xml import quoted, unquoted
from routers.upload_schemas import FileName, MediaType, MetadataName, MetadataValue
from service.grants.model import Exchanged
from service.uploads.creation import NewUpload
from service.uploads.plan import MOST_PARTS
from service.uploads.ports import StoredPart

_MOST_TOLD = 20
UNKNOWN_TYPE = "application/octet-stream"
# How a script writes that there is nothing, once it is put into a query.
_NOTHING = frozenset({"", "null", "undefined"})
# Fields of the upload itself, which Uppy repeats among the file's metadata.
_OWN_FIELDS = frozenset({"name", "type"})


def _type(given: Any) -> Any:
    return UNKNOWN_TYPE if given is None or given in _NOTHING else given


def _metadata(given: Any) -> Any:
    """Uppy sends all that the page noted about a file: numbers and nulls among it."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        return given
    told = {name: value for name, value in given.items() if name not in _OWN_FIELDS}
    return {name: _text(value) for name, value in told.items() if value not in (None, *_NOTHING)}


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


@contextmanager
def _told_as_of(source: str) -> Iterator[None]:
    """As FastAPI tells of what it reads itself."""
    try:
        yield
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[:_MOST_TOLD]
        raise RequestValidationError(
            [{**entry, "loc": (source, *entry["loc"])} for entry in found]
        ) from None


class CompanionFile(BaseModel):
    """A file to be sent. Its size is never told."""

    filename: FileName
    content_type: Annotated[MediaType, BeforeValidator(_type)] = Field(
        default=UNKNOWN_TYPE, alias="type"
    )
    metadata: Annotated[
        Annotated[dict[MetadataName, MetadataValue], Field(max_length=20)],
        BeforeValidator(_metadata),
    ] = Field(default_factory=dict)

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> "CompanionFile":
        """`filename`, `type` and `metadata[NAME]`. Raises RequestValidationError."""
        given: dict[str, Any] = {
            name: query[name] for name in ("filename", "type") if name in query
        }
        given["metadata"] = {
            name[len("metadata[") : -1]: value
            for name, value in query.items()
            if name.startswith("metadata[") and name.endswith("]")
        }
        with _told_as_of("query"):
            return cls.model_validate(given)

    def announced(self, profile: str, *, own_parts: bool, ends_by: datetime) -> NewUpload:
        return NewUpload(
            filename=self.filename,
            size=None,
            content_type=self.content_type,
            profile=profile,
            metadata=self.metadata,
            transport="presigned",
            own_parts=own_parts,
            ends_by=ends_by,
        )


class CompanionForm(BaseModel):
    """A POST form: these fields, then the file. `expires` in seconds from now."""

    method: Literal["POST"] = "POST"
    url: str
    fields: dict[str, str]
    expires: int


class CompanionMultipart(BaseModel):
    key: str
    upload_id: str = Field(serialization_alias="uploadId")


class CompanionPart(BaseModel):
    number: int = Field(serialization_alias="PartNumber")
    etag: str = Field(serialization_alias="ETag")
    size: int = Field(serialization_alias="Size")

    @classmethod
    def of(cls, parts: Sequence[StoredPart]) -> list["CompanionPart"]:
        return [cls(number=part.number, etag=quoted(part.etag), size=part.size) for part in parts]


class CompanionUrl(BaseModel):
    """A part is PUT there. `expires` in seconds from now."""

    url: str
    expires: int


class CompanionUrls(BaseModel):
    urls: dict[int, str] = Field(serialization_alias="presignedUrls", description="By part number.")


class NamedPart(BaseModel):
    number: Annotated[int, Field(ge=1, le=MOST_PARTS)] = Field(alias="PartNumber")
    etag: Annotated[
        str, StringConstraints(min_length=1, max_length=256), AfterValidator(unquoted)
    ] = Field(alias="ETag")


def _each_once(parts: list[NamedPart]) -> list[NamedPart]:
    if len({part.number for part in parts}) != len(parts):
        raise ValueError("a part is named twice")
    return parts


class CompanionCompletion(BaseModel):
    parts: Annotated[
        list[NamedPart], Field(max_length=MOST_PARTS), FailFast(), AfterValidator(_each_once)
    ]

    @classmethod
    def of_body(cls, body: bytes) -> "CompanionCompletion":
        """Raises RequestValidationError."""
        with _told_as_of("body"):
            return cls.model_validate_json(body)

    def named(self) -> dict[int, str]:
        return {part.number: part.etag for part in self.parts}


class CompanionCompleted(BaseModel):
    location: str
    key: str


class CompanionKeys(BaseModel):
    access_key_id: str = Field(serialization_alias="AccessKeyId")
    secret_access_key: str = Field(serialization_alias="SecretAccessKey")
    session_token: str = Field(serialization_alias="SessionToken")
    expiration: datetime = Field(serialization_alias="Expiration")


class CompanionSts(BaseModel):
    credentials: CompanionKeys
    bucket: str
    region: str

    @classmethod
    def of(cls, exchanged: Exchanged) -> "CompanionSts":
        keys = exchanged.credentials
        return cls(
            credentials=CompanionKeys(
                access_key_id=keys.access_key_id,
                secret_access_key=keys.secret_access_key,
                session_token=keys.session_token,
                expiration=keys.expires_at,
            ),
            bucket=exchanged.place.bucket,
            region=exchanged.place.region,
        )
