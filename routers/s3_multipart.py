"""A multipart's four operations at ticketed addresses, answered in S3's XML. They are called as
POST /v1/s3/presign gave them, never built, so they stand outside of the API's document.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response, status

from errors import InvalidTicketError
from routers.no_store import NO_STORE
from routers.s3_errors import S3Route
from routers.s3_xml import document, element, named_parts, part_elements, quoted
from routers.services import Services, Wired
from service.uploads.model import Upload
from service.uploads.operation_tickets import LONGEST, Operation, OperationTicket

PREFIX = "/v1/s3/multipart"
# Where a client names all of its parts: 10,000 of them have about 1.1 MB with the spaces that some
# put in. Read behind the gate, once the ticket has been checked.
LONGEST_LIST = 2 * 1024 * 1024
LONG_LISTS = (f"{PREFIX}/[^/]+", "/v1/uppy/[^/]+/s3/multipart/[^/]+/complete")
router = APIRouter(
    prefix=PREFIX, route_class=S3Route, dependencies=[NO_STORE], include_in_schema=False
)
TicketText = Annotated[str, Path(max_length=LONGEST)]


@router.post("/{ticket}")
async def create_or_complete(ticket: TicketText, request: Request, services: Wired) -> Response:
    """The ticket says which. Its signature is checked before a body is read."""
    read = services.operation_tickets.read(ticket)
    if read.operation is Operation.CREATE:
        return await _create(services, read)
    return await _complete(services, _for(read, Operation.COMPLETE), await request.body())


@router.get("/{ticket}")
async def list_parts(ticket: TicketText, services: Wired) -> Response:
    """All in one answer: Uppy asks for no second page."""
    read = _for(services.operation_tickets.read(ticket), Operation.LIST)
    upload = await _upload(services, read)
    parts = await services.own_parts.parts(upload, read.multipart_id or "")
    return document(
        "ListPartsResult",
        *_place(upload),
        element("UploadId", read.multipart_id or ""),
        element("MaxParts", max(1000, len(parts))),
        element("IsTruncated", "false"),
        part_elements(parts),
    )


@router.delete("/{ticket}", status_code=status.HTTP_204_NO_CONTENT)
async def abort(ticket: TicketText, services: Wired) -> None:
    """The upload ends with its multipart."""
    read = _for(services.operation_tickets.read(ticket), Operation.ABORT)
    await services.own_parts.abort(await _upload(services, read), read.multipart_id or "")


async def _create(services: Services, read: OperationTicket) -> Response:
    upload = await services.own_parts.begin(await _upload(services, read))
    return document(
        "InitiateMultipartUploadResult",
        *_place(upload),
        element("UploadId", upload.multipart_id or ""),
    )


async def _complete(services: Services, read: OperationTicket, body: bytes) -> Response:
    named = named_parts(body)
    upload = await _upload(services, read)
    upload = await services.own_parts.complete(upload, read.multipart_id or "", named)
    return document(
        "CompleteMultipartUploadResult",
        element("Location", services.sites.object_url(upload.bucket, upload.key)),
        *_place(upload),
        element("ETag", quoted(upload.etag or "")),
    )


def _for(ticket: OperationTicket, operation: Operation) -> OperationTicket:
    if ticket.operation is not operation:
        raise InvalidTicketError
    return ticket


async def _upload(services: Services, ticket: OperationTicket) -> Upload:
    return await services.uploads.get(ticket.user_id, ticket.upload_id)


def _place(upload: Upload) -> tuple[str, str]:
    return element("Bucket", upload.bucket), element("Key", upload.key)
