"""Presigned requests: what a client sends to the store without any credentials of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from service.uploads.model import Checksum

# Under this name (`x-amz-meta-…`) every object and multipart of ours carries its upload's id.
UPLOAD_ID_METADATA = "uploadgate-upload-id"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """`url` is as good as the bytes until `expires_at`: it reaches no log. All of `headers` were
    signed, so a client sends exactly these (Content-Length is set by most clients themselves).
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignedForm:
    """A POST form: send exactly these fields, in this order, the file last (field `file`)."""

    url: str
    fields: Mapping[str, str] = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PartTerms:
    """What one part must be. `size` in bytes is signed where it is known; `checksum` is the
    part's own, for multiparts that have an algorithm.
    """

    number: int
    size: int | None = None
    checksum: Checksum | None = None


class Signer(Protocol):
    """Signs for a record's own bucket. `seconds` is the life asked for; `expires_at` the true one,
    which ends with the signing credentials at the latest. Raises StoreRefusedError where the
    service has no credentials and StoreUnavailableError where they cannot be renewed now.
    """

    async def put(
        self,
        bucket: str,
        key: str,
        *,
        size: int,
        content_type: str,
        checksum: Checksum | None,
        upload_id: str,
        seconds: int,
    ) -> SignedRequest:
        """One PUT of exactly so many bytes, of that type, and only where nothing is yet
        (`If-None-Match: *`).
        """
        ...

    async def post(
        self,
        bucket: str,
        key: str,
        *,
        largest: int,
        content_type: str,
        upload_id: str,
        seconds: int,
        smallest: int = 0,
    ) -> SignedForm:
        """A form with `content-length-range`."""
        ...

    async def parts(
        self,
        bucket: str,
        key: str,
        multipart_id: str,
        parts: Sequence[PartTerms],
        *,
        seconds: int,
    ) -> Sequence[SignedRequest]:
        """One UploadPart each, in the given order."""
        ...

    async def get(
        self,
        bucket: str,
        key: str,
        *,
        version_id: str | None,
        content_disposition: str,
        content_type: str,
        seconds: int,
    ) -> SignedRequest:
        """A GET that answers with this Content-Disposition and Content-Type."""
        ...
