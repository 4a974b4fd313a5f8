"""The upload on the wire, and what clients may announce."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from service.uploads.creation import NewUpload
from service.uploads.filenames import unshowable
from service.uploads.model import Checksum, Origin, Transport, Upload, UploadStatus
from service.uploads.plan import LARGEST_OBJECT
from service.uploads.signed import SignedForm, SignedRequest
from service.uploads.transfers import Offer
from service.uploads.transitions import IN_FLIGHT
from service.uploads.transports import TransportChoice

MAX_NAME_BYTES = 1024
NOTHING = Offer()
_DIGEST_BYTES = {"CRC32": 4, "CRC64NVME": 8}


def _printable(text: str) -> str:
    """No control characters, no lone surrogates, no direction overrides: names are shown."""
    if any(unshowable(char) for char in text):
        raise ValueError("holds a control character")
    return text


def _file_name(text: str) -> str:
    if "/" in text or "\\" in text or text in {".", ".."}:
        raise ValueError("is a path; send the name alone")
    if len(_printable(text).encode()) > MAX_NAME_BYTES:
        raise ValueError(f"has more than {MAX_NAME_BYTES} bytes in UTF-8")
    return text


Printable = Annotated[str, AfterValidator(_printable)]
FileName = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_NAME_BYTES), AfterValidator(_file_name)
]
MediaType = Annotated[
    str,
    StringConstraints(
        max_length=255,
        pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+([ \t]*;[ \t]*[\x20-\x7e]+)?$",
    ),
]
MetadataName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
MetadataValue = Annotated[str, StringConstraints(max_length=512), AfterValidator(_printable)]
ProfileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
Fingerprint = Annotated[
    str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)
]


class ChecksumSchema(BaseModel):
    """Of the full object; `value` is the big-endian digest in base64, as S3 writes it."""

    model_config = ConfigDict(extra="forbid")

    algorithm: Literal["CRC32", "CRC64NVME"]
    value: str = Field(max_length=16, examples=["DUoRhQ=="])

    def checked(self) -> Checksum:
        """In canonical base64, as stores write it."""
        digest = base64.b64decode(self.value)
        return Checksum(self.algorithm, base64.b64encode(digest).decode())


def right_length(checksum: ChecksumSchema) -> ChecksumSchema:
    try:
        digest = base64.b64decode(checksum.value, validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64") from error
    if len(digest) != _DIGEST_BYTES[checksum.algorithm]:
        raise ValueError(f"is not a digest of {checksum.algorithm}")
    return checksum


class UploadRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "filename": "holiday.mp4",
                    "size": 734003200,
                    "content_type": "video/mp4",
                    "metadata": {"album": "summer"},
                }
            ]
        },
    )

    filename: FileName = Field(description="The file's own name, any Unicode, no path.")
    size: Annotated[int, Field(strict=True, ge=0, le=LARGEST_OBJECT)] = Field(
        description="In bytes."
    )
    content_type: MediaType = "application/octet-stream"
    profile: ProfileName | None = None
    checksum: Annotated[ChecksumSchema, AfterValidator(right_length)] | None = None
    metadata: dict[MetadataName, MetadataValue] = Field(default_factory=dict, max_length=20)
    fingerprint: Fingerprint | None = None
    transport: TransportChoice = "auto"

    def announced(self) -> NewUpload:
        return NewUpload(
            filename=self.filename,
            size=self.size,
            content_type=self.content_type,
            profile=self.profile,
            checksum=self.checksum.checked() if self.checksum else None,
            metadata=self.metadata,
            fingerprint=self.fingerprint,
            transport=self.transport,
        )


class MultipartSchema(BaseModel):
    """A multipart that the service made and may complete. Send parts 1 to `part_count`, each of
    `part_size` bytes, the last one of what remains: with your own credentials, or to addresses
    of `POST …/parts`. Then `POST …/complete`.
    """

    upload_id: str = Field(description="The store's id of the multipart.")
    part_size: int = Field(description="In bytes.", examples=[8_388_608])
    part_count: int = Field(examples=[88])
    checksum_algorithm: Literal["CRC32", "CRC64NVME"] | None = Field(
        description="Where there is one, the store verifies the whole by it; a part may be sent "
        "with a checksum of its own."
    )

    @classmethod
    def of(cls, upload: Upload) -> "MultipartSchema | None":
        """None where there is none, or none with a plan to follow."""
        if not (upload.multipart_id and upload.part_size and upload.part_count):
            return None
        return cls(
            upload_id=upload.multipart_id,
            part_size=upload.part_size,
            part_count=upload.part_count,
            checksum_algorithm=upload.part_checksum,
        )


class PutSchema(BaseModel):
    """One presigned PUT; send exactly these headers."""

    url: str
    headers: dict[str, str]
    expires_at: datetime

    @classmethod
    def of(cls, signed: SignedRequest) -> "PutSchema":
        return cls(url=signed.url, headers=dict(signed.headers), expires_at=signed.expires_at)


class PostSchema(BaseModel):
    """A POST form; send exactly these fields, the file last (`file`)."""

    url: str
    fields: dict[str, str]
    expires_at: datetime

    @classmethod
    def of(cls, form: SignedForm) -> "PostSchema":
        return cls(url=form.url, fields=dict(form.fields), expires_at=form.expires_at)


class UploadResponse(BaseModel):
    """One upload. In flight, `multipart` says how a file goes in parts, `put` and `post` how a
    small one goes in one presigned request; null where the client's own credentials do.
    """

    id: str = Field(examples=["upl_0b9f6a5c1d2e4f30a1b2c3d4e5f60718"])
    status: UploadStatus
    status_reason: str | None
    origin: Origin
    transport: Transport
    transport_reason: str
    profile: str
    filename: str
    content_type: str
    size: int | None = Field(description="In bytes: what arrived, before that what was announced.")
    checksum: ChecksumSchema | None = Field(
        description="Of what arrived, where the store holds one; before that as announced."
    )
    etag: str | None
    version_id: str | None
    bucket: str
    key: str
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    completed_at: datetime | None
    multipart: MultipartSchema | None
    put: PutSchema | None
    post: PostSchema | None
    server_time: datetime

    @classmethod
    def of(cls, upload: Upload, offer: Offer = NOTHING) -> "UploadResponse":
        checksum = upload.declared_checksum if upload.etag is None else upload.checksum
        return cls(
            id=upload.id,
            status=upload.status,
            status_reason=upload.status_reason,
            origin=upload.origin,
            transport=upload.transport,
            transport_reason=upload.transport_reason,
            profile=upload.profile,
            filename=upload.filename,
            content_type=upload.content_type,
            size=upload.declared_size if upload.size is None else upload.size,
            checksum=ChecksumSchema(algorithm=checksum.algorithm, value=checksum.value)
            if checksum
            else None,
            etag=upload.etag,
            version_id=upload.version_id,
            bucket=upload.bucket,
            key=upload.key,
            metadata=dict(upload.metadata),
            created_at=upload.created_at,
            updated_at=upload.updated_at,
            expires_at=upload.expires_at,
            completed_at=upload.completed_at,
            multipart=MultipartSchema.of(upload) if upload.status in IN_FLIGHT else None,
            put=PutSchema.of(offer.put) if offer.put else None,
            post=PostSchema.of(offer.post) if offer.post else None,
            server_time=datetime.now(UTC),
        )


class UploadPage(BaseModel):
    items: list[UploadResponse]
    next_cursor: str | None = Field(description="Null on the last page.")
