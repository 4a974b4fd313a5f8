"""Uploads: create, list, show, delete, download."""

from datetime import datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query, Response, status
from pydantic import BaseModel, Field

import errors
from routers import cursor as cursors
from routers import idempotency
from routers.caller import Uploader
from routers.failures import CALLER, COGNITO, JSON_BODY, STORE
from routers.idempotency import IdempotencyKey
from routers.json_body import JSON_ONLY
from routers.no_store import NO_STORE
from routers.problems import responses
from routers.services import Services, Wired
from routers.upload_schemas import NOTHING, Fingerprint, UploadPage, UploadRequest, UploadResponse
from service.uploads.model import Upload, UploadStatus

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], dependencies=[NO_STORE])

_log = structlog.get_logger("uploadgate.uploads")
_CREATE = (
    *CALLER,
    *JSON_BODY,
    *COGNITO,
    *STORE,
    *idempotency.FAILURES,
    errors.UnknownProfileError,
    errors.UploadTooLargeError,
    errors.ContentTypeRefusedError,
    errors.QuotaExceededError,
    errors.TooManyUploadsError,
    errors.UploadNotFoundError,
    errors.UploadStateError,
    errors.UploadEndedError,
)
_DELETE = (*CALLER, *STORE, errors.UploadNotFoundError, errors.UploadStateError)
_SHOW = (*CALLER, errors.UploadNotFoundError)
_DOWNLOAD = (*_SHOW, *STORE, errors.UploadEndedError, errors.UploadStateError)
MAX_ID_LENGTH = 64
UploadId = Annotated[str, Path(max_length=MAX_ID_LENGTH, description="The upload's id.")]


class DownloadResponse(BaseModel):
    """GET it there, before `expires_at`."""

    url: str
    expires_at: datetime = Field(description="The end of the address, not of the file.")


@router.post(
    "",
    operation_id="create_upload",
    summary="Announce an upload",
    status_code=status.HTTP_201_CREATED,
    responses=responses(*_CREATE),
    dependencies=[JSON_ONLY],
)
async def create_upload(
    body: UploadRequest,
    caller: Uploader,
    services: Wired,
    response: Response,
    key: IdempotencyKey = None,
) -> UploadResponse:
    """Makes the record, chooses the key and the transport, and plans the parts. The bytes then go
    straight to the store.
    """
    upload = await services.creation.create(caller.user_id, body.announced(), idempotency_key=key)
    response.headers["Location"] = f"/v1/uploads/{upload.id}"
    return await shown(services, upload)


class ListQuery(BaseModel):
    """Which of the caller's uploads, and how many of them."""

    status: UploadStatus | None = None
    fingerprint: Fingerprint | None = Field(
        default=None, description="Those announced with it: so that a reloaded page can go on."
    )
    cursor: Annotated[str, Field(max_length=256)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


@router.get("", operation_id="list_uploads", summary="List uploads", responses=responses(*CALLER))
async def list_uploads(
    asked: Annotated[ListQuery, Query()], caller: Uploader, services: Wired
) -> UploadPage:
    """The caller's, newest first."""
    page, following = await services.uploads.page(
        caller.user_id,
        status=asked.status,
        after=cursors.decode(asked.cursor) if asked.cursor is not None else None,
        limit=asked.limit,
        fingerprint=asked.fingerprint,
    )
    return UploadPage(
        items=[await shown(services, upload) for upload in page],
        next_cursor=cursors.encode(following) if following else None,
    )


@router.get(
    "/{upload_id}", operation_id="get_upload", summary="Show an upload", responses=responses(*_SHOW)
)
async def get_upload(upload_id: UploadId, caller: Uploader, services: Wired) -> UploadResponse:
    """Another user's upload is 404. Presigned addresses in it are new each time."""
    return await shown(services, await services.uploads.get(caller.user_id, upload_id))


@router.delete(
    "/{upload_id}",
    operation_id="delete_upload",
    summary="Abort or delete an upload",
    responses=responses(*_DELETE),
)
async def delete_upload(upload_id: UploadId, caller: Uploader, services: Wired) -> UploadResponse:
    """In flight: aborts. Completed: deletes the object. Ended already: answers it as it is."""
    return UploadResponse.of(await services.uploads.delete(caller.user_id, upload_id))


@router.get(
    "/{upload_id}/download",
    operation_id="download_upload",
    summary="Get an address to download from",
    responses=responses(*_DOWNLOAD),
)
async def download_upload(
    upload_id: UploadId, caller: Uploader, services: Wired
) -> DownloadResponse:
    """Always an attachment under its original name; HTML, SVG and XML as octet-stream."""
    upload = await services.uploads.get(caller.user_id, upload_id)
    signed = await services.downloads.sign(upload)
    return DownloadResponse(url=signed.url, expires_at=signed.expires_at)


async def shown(services: Services, upload: Upload) -> UploadResponse:
    """With addresses to send to, where the upload takes one request. A record is shown, and one
    just made is not lost, while nothing can be signed: ask for it again then.
    """
    try:
        offer = await services.transfers.offer(upload)
    except (errors.StoreUnavailableError, errors.StoreRefusedError) as error:
        _log.warning("upload.not_signed", upload_id=upload.id, cause=error.code)
        offer = NOTHING
    return UploadResponse.of(upload, offer)
