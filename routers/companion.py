"""Uppy's Companion wire, behind a ticket in the path: 6.x, and the routes that 4.x and 5.x had.

Uppy says no size: what is begun here reserves all that its profile allows, and is measured before
it is completed.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import StringConstraints

import errors
from routers.companion_schemas import (
    CompanionCompleted,
    CompanionCompletion,
    CompanionFile,
    CompanionForm,
    CompanionMultipart,
    CompanionPart,
    CompanionSts,
    CompanionUrl,
    CompanionUrls,
)
from routers.failures import COGNITO, IN_FLIGHT, JSON_BODY, STORE
from routers.json_body import JSON_ONLY
from routers.no_store import NO_STORE
from routers.problems import responses
from routers.services import Wired
from service.uploads.model import Upload
from service.uploads.plan import MOST_PARTS
from service.uploads.tickets import Ticket

router = APIRouter(prefix="/v1/uppy/{ticket}/s3", tags=["uppy"], dependencies=[NO_STORE])

_TICKET = (
    errors.InvalidTicketError,
    errors.InvalidRequestError,
    errors.OverloadedError,
    errors.UnavailableError,
)
_BEGIN = (
    *_TICKET,
    *STORE,
    errors.PolicyError,
    errors.UnknownProfileError,
    errors.ContentTypeRefusedError,
    errors.QuotaExceededError,
    errors.TooManyUploadsError,
)
_SEND = (
    *_TICKET,
    *STORE,
    *IN_FLIGHT,
    errors.UploadNotFoundError,
    errors.MultipartGoneError,
)
_SIGN = (*_SEND, errors.InvalidPartError, errors.PolicyError)
_NUMBERED = {"PartNumber": {"type": "integer"}, "ETag": {"type": "string"}}
_PART = {"type": "object", "required": list(_NUMBERED), "properties": _NUMBERED}
_PARTS = {
    "schema": {
        "type": "object",
        "required": ["parts"],
        "properties": {"parts": {"type": "array", "items": _PART, "maxItems": MOST_PARTS}},
    }
}


async def _redeemed(
    services: Wired,
    ticket: Annotated[str, Path(max_length=64, description="A companion ticket.")],
) -> Ticket:
    return await services.ticketing.redeem(ticket)


Redeemed = Annotated[Ticket, Depends(_redeemed)]
MultipartId = Annotated[str, Path(max_length=1024, description="The multipart's id.")]


async def _upload(
    services: Wired,
    ticket: Redeemed,
    key: Annotated[str, Query(min_length=1, max_length=1024, description="The object's key.")],
) -> Upload:
    """What this ticket could have begun; anything else does not exist for it."""
    upload = await services.uploads.by_key(ticket.user_id, services.sites.bucket, key)
    if upload.profile != ticket.profile:
        raise errors.UploadNotFoundError
    return upload


Begun = Annotated[Upload, Depends(_upload)]


def _query(name: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": {"type": "string"}}


@router.get(
    "/params",
    operation_id="companion_form",
    summary="Begin a file that goes in one request",
    responses=responses(*_BEGIN),
    openapi_extra={"parameters": [_query("filename", required=True), _query("type")]},
)
async def form(
    request: Request,
    ticket: Redeemed,
    services: Wired,
) -> CompanionForm:
    """Besides, `metadata[NAME]` for each thing to be noted with the upload."""
    file = CompanionFile.of_query(request.query_params)
    # Nothing but the form can send it, and nobody can abort it: it goes when the form does.
    ends_by = min(ticket.expires_at, services.transfers.addresses_end())
    new = file.announced(ticket.profile, own_parts=False, ends_by=ends_by)
    upload = await services.creation.create(ticket.user_id, new)
    try:
        signed = await services.transfers.form(upload)
    except errors.UploadgateError:
        await services.uploads.abort(upload)
        raise
    return CompanionForm(
        url=signed.url, fields=dict(signed.fields), expires=_seconds_to(signed.expires_at)
    )


@router.post(
    "/multipart",
    operation_id="companion_begin",
    summary="Begin a file that goes in parts",
    responses=responses(*_BEGIN, *JSON_BODY),
    dependencies=[JSON_ONLY],
)
async def begin(body: CompanionFile, ticket: Redeemed, services: Wired) -> CompanionMultipart:
    """The service makes the multipart, and the client plans its parts."""
    new = body.announced(ticket.profile, own_parts=True, ends_by=ticket.expires_at)
    upload = await services.creation.create(ticket.user_id, new)
    return CompanionMultipart(key=upload.key, upload_id=upload.multipart_id or "")


@router.get(
    "/multipart/{multipart_id}",
    operation_id="companion_parts",
    summary="List the parts that have arrived",
    responses=responses(*_SEND),
)
async def parts(multipart_id: MultipartId, upload: Begun, services: Wired) -> list[CompanionPart]:
    """All of them, however many the store lists at a time."""
    return CompanionPart.of(await services.own_parts.parts(upload, multipart_id))


@router.get(
    "/multipart/{multipart_id}/batch",
    operation_id="companion_sign_parts",
    summary="Get addresses for parts",
    responses=responses(*_SIGN),
)
async def sign_parts(
    multipart_id: MultipartId,
    upload: Begun,
    services: Wired,
    numbers: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[0-9]{1,5}(,[0-9]{1,5}){0,999}$")],
        Query(alias="partNumbers", description="At most 1,000, e.g. `1,2,3`."),
    ],
) -> CompanionUrls:
    """As Uppy 4 asks."""
    wanted = [int(number) for number in numbers.split(",")]
    signed = await services.own_parts.sign(upload, multipart_id, wanted)
    return CompanionUrls(
        urls={number: part.url for number, part in zip(wanted, signed, strict=True)}
    )


@router.get(
    "/multipart/{multipart_id}/{number}",
    operation_id="companion_sign_part",
    summary="Get an address for one part",
    responses=responses(*_SIGN),
)
async def sign_part(
    multipart_id: MultipartId,
    number: Annotated[int, Path(ge=1, le=MOST_PARTS, description="The part's number.")],
    upload: Begun,
    services: Wired,
) -> CompanionUrl:
    [signed] = await services.own_parts.sign(upload, multipart_id, [number])
    return CompanionUrl(url=signed.url, expires=_seconds_to(signed.expires_at))


@router.post(
    "/multipart/{multipart_id}/complete",
    operation_id="companion_complete",
    summary="Complete a file sent in parts",
    responses=responses(*_SEND, *JSON_BODY, errors.InvalidPartError, errors.UploadIncompleteError),
    dependencies=[JSON_ONLY],
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": _PARTS}}},
)
async def complete(
    multipart_id: MultipartId, upload: Begun, request: Request, services: Wired
) -> CompanionCompleted:
    """From the store's own list, which must be what the client names. Such a list may be long: it
    is read only after the ticket.
    """
    body = CompanionCompletion.of_body(await request.body())
    done = await services.own_parts.complete(upload, multipart_id, body.named())
    location = services.sites.object_url(done.bucket, done.key)
    return CompanionCompleted(location=location, key=done.key)


@router.delete(
    "/multipart/{multipart_id}",
    operation_id="companion_abort",
    summary="Give up a file sent in parts",
    responses=responses(*_SEND),
)
async def abort(multipart_id: MultipartId, upload: Begun, services: Wired) -> dict[str, Any]:
    """Only what is in flight: a ticket deletes nothing that has arrived."""
    await services.own_parts.abort(upload, multipart_id)
    return {}


@router.get(
    "/sts",
    operation_id="companion_sts",
    summary="Get temporary credentials",
    responses=responses(*_TICKET, *COGNITO, errors.UnknownProfileError),
)
async def sts(ticket: Redeemed, services: Wired) -> CompanionSts:
    """As Uppy 4 and 5 ask, under the policy of POST /v1/credentials/exchange."""
    services.ticketing.check_credentials(ticket)
    return CompanionSts.of(await services.grants.exchange(ticket.user_id))


def _seconds_to(moment: datetime) -> int:
    return max(0, int((moment - datetime.now(UTC)).total_seconds()))
