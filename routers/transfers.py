"""The way of the bytes: parts to send, parts that are there, completing, switching, relay."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.types import Receive, Scope

import errors
from auth.callers import UPLOADS
from routers import idempotency
from routers.caller import AdminCaller, Uploader
from routers.content_range import content_range
from routers.doors import Answer, usual_call
from routers.failures import CALLER, COGNITO, IN_FLIGHT, JSON_BODY, STORE
from routers.idempotency import IdempotencyKey
from routers.json_body import JSON_ONLY
from routers.no_store import NO_STORE
from routers.part_schemas import PartList, PartsRequest, SignedParts, as_json
from routers.problems import responses
from routers.services import Services, Wired
from routers.upload_schemas import Printable, UploadResponse
from routers.uploads import MAX_ID_LENGTH, UploadId, shown
from service.uploads.model import Transport
from service.uploads.signed import SignedRequest
from service.uploads.verdicts import Verdict

router = APIRouter(prefix="/v1/uploads/{upload_id}", tags=["uploads"], dependencies=[NO_STORE])

_log = structlog.get_logger("uploadgate.uploads")
_SEND = (*CALLER, *STORE, *IN_FLIGHT, errors.UploadNotFoundError, errors.PolicyError)
_FINISH = (errors.UploadIncompleteError, errors.MultipartGoneError)
_COMPLETE = (
    *CALLER,
    *STORE,
    *IN_FLIGHT,
    errors.UploadNotFoundError,
    *_FINISH,
    *idempotency.FAILURES,
)

_BYTES = {"schema": {"type": "string", "format": "binary"}}


class TransportRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    transport: Literal["credentials", "presigned", "relay"]


class VerdictRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    reason: Annotated[Printable, Field(max_length=200)] | None = Field(
        default=None,
        description="With `rejected`: the upload's `status_reason`, which its user is shown. With "
        "`clean` it is not kept.",
    )
    etag: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None,
        description="The upload's `etag` as it was looked at: 409 if other bytes have come since. "
        "Without it a verdict that comes late is taken for what is in quarantine now.",
    )


@router.post(
    "/parts",
    operation_id="sign_parts",
    summary="Get addresses for parts",
    responses=responses(*_SEND, *JSON_BODY, errors.InvalidPartError),
    dependencies=[JSON_ONLY],
)
async def sign_parts(
    upload_id: UploadId, body: PartsRequest, caller: Uploader, services: Wired
) -> SignedParts:
    """On an upload by credentials this is the switch to presigned: finished parts stay."""
    return SignedParts.of(body, await _signed(services, caller.user_id, upload_id, body))


async def _signed(
    services: Services, user_id: str, upload_id: str, asked: PartsRequest
) -> Sequence[SignedRequest]:
    upload = await services.uploads.get(user_id, upload_id)
    try:
        terms = asked.terms(upload.part_checksum)
    except ValueError as error:
        raise errors.InvalidPartError(f"A part's checksum is not usable: {error}") from None
    return await services.transfers.sign_parts(upload, terms)


class PartsDoor:
    """The short way to `sign_parts`."""

    method = "POST"
    path = f"{router.prefix}/parts"

    async def answer(self, scope: Scope, _receive: Receive) -> Answer | None:
        call, upload_id = usual_call(scope), scope["path_params"]["upload_id"]
        if call is None or len(upload_id) > MAX_ID_LENGTH:
            return None
        try:
            asked = PartsRequest.model_validate_json(call.body)
        except ValidationError:
            return None
        services: Services = scope["state"]["services"]
        caller = services.accounts.caller_of(call.unverified_token)
        if caller is None or UPLOADS not in caller.scopes:
            return None
        signed = await _signed(services, caller.user_id, upload_id, asked)
        return Answer(as_json(asked, signed))


def doors() -> list[PartsDoor]:
    return [PartsDoor()]


@router.get(
    "/parts",
    operation_id="list_parts",
    summary="List the parts that have arrived",
    responses=responses(*CALLER, *STORE, errors.UploadNotFoundError),
)
async def list_parts(upload_id: UploadId, caller: Uploader, services: Wired) -> PartList:
    """All the store has: what is not among them is to be sent."""
    upload = await services.uploads.get(caller.user_id, upload_id)
    return PartList.of(await services.transfers.parts(upload))


@router.post(
    "/complete",
    operation_id="complete_upload",
    summary="Complete an upload",
    responses=responses(*_COMPLETE),
)
async def complete_upload(
    upload_id: UploadId, caller: Uploader, services: Wired, key: IdempotencyKey = None
) -> UploadResponse:
    """From the store's own list of parts; the answer is the verified upload."""
    upload = await services.uploads.get(caller.user_id, upload_id)
    return await shown(services, await services.completing.complete(upload, idempotency_key=key))


@router.post(
    "/transport",
    operation_id="switch_transport",
    summary="Switch the transport",
    responses=responses(*_SEND, *JSON_BODY, *COGNITO, errors.TransportUnavailableError),
    dependencies=[JSON_ONLY],
)
async def switch_transport(
    upload_id: UploadId, body: TransportRequest, caller: Uploader, services: Wired
) -> UploadResponse:
    """The multipart and its finished parts stay. To credentials only where they can write to the
    upload's key.
    """
    upload = await services.uploads.get(caller.user_id, upload_id)
    switched = await services.transfers.switched(upload, Transport(body.transport))
    return await shown(services, switched)


@router.put(
    "/content",
    operation_id="relay_content",
    summary="Send the content through this service",
    responses=responses(
        *_SEND,
        *_FINISH,
        errors.TooManyUploadsError,
        errors.ContentRangeError,
        errors.RequestTimeoutError,
        errors.TransportUnavailableError,
    ),
    openapi_extra={"requestBody": {"content": {"application/octet-stream": _BYTES}}},
)
async def relay_content(
    upload_id: UploadId,
    request: Request,
    caller: Uploader,
    services: Wired,
    given: Annotated[
        str | None,
        Header(
            alias="Content-Range",
            description="`bytes FIRST-LAST/TOTAL`, whole parts; without it, the whole file.",
        ),
    ] = None,
) -> UploadResponse:
    """For clients that cannot reach the store. Streamed on as it comes; what has arrived of it
    stays, part by part. The end of the file completes the upload, if nothing is missing then.
    """
    upload = await services.uploads.get(caller.user_id, upload_id)
    span = content_range(given, request.headers.get("content-length"))
    upload = await services.relay.take(upload, span, _chunks(request))
    return await shown(services, upload)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk


@router.post(
    "/verdict",
    operation_id="give_verdict",
    summary="Release or reject what is quarantined",
    responses=responses(
        *CALLER, *JSON_BODY, *STORE, errors.UploadNotFoundError, errors.UploadStateError
    ),
    dependencies=[JSON_ONLY],
    tags=["admin"],
)
async def give_verdict(
    upload_id: UploadId, body: VerdictRequest, caller: AdminCaller, services: Wired
) -> UploadResponse:
    """Admin scope; any user's upload. `clean` completes it, `rejected` deletes the object from the
    store. The same verdict once more answers 200 with the upload as it is.

    409 where it is not in quarantine, or where other bytes have come: than the `etag` that is
    given, or than those that were verified; its `retry_mode` is `wait` while an upload is still to
    arrive, and `fatal` where no waiting helps.

    `/download` signs nothing while it is in quarantine: a scanner reads the object with rights of
    its own to the bucket, by the `bucket`, `key` and `version_id` of `upload.quarantined`.
    """
    given = await services.verdicts.give(upload_id, body.verdict, body.reason, body.etag)
    _log.info("verdict.given", upload_id=upload_id, verdict=body.verdict, by=caller.user_id)
    return UploadResponse.of(given)
