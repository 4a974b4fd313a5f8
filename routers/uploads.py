"""Uploads: create, list, show, delete."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

import errors
from routers import cursor as cursors
from routers.caller import Uploader
from routers.failures import CALLER, COGNITO, JSON_BODY
from routers.json_body import JSON_ONLY
from routers.no_store import NO_STORE
from routers.problems import responses
from routers.services import Wired
from routers.upload_schemas import UploadPage, UploadRequest, UploadResponse
from service.uploads.model import UploadStatus

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], dependencies=[NO_STORE])

_CREATE = (
    *CALLER,
    *JSON_BODY,
    *COGNITO,
    errors.UnknownProfileError,
    errors.UploadTooLargeError,
)
_DELETE = (
    *CALLER,
    errors.UploadNotFoundError,
    errors.UploadStateError,
    errors.StoreUnavailableError,
    errors.StoreRefusedError,
)
UploadId = Annotated[str, Path(max_length=64, description="The upload's id.")]


@router.post(
    "",
    operation_id="create_upload",
    summary="Announce an upload",
    status_code=status.HTTP_201_CREATED,
    responses=responses(*_CREATE),
    dependencies=[JSON_ONLY],
)
async def create_upload(
    body: UploadRequest, caller: Uploader, services: Wired, response: Response
) -> UploadResponse:
    """Makes the record and chooses the key. The bytes then go straight to the store."""
    upload = await services.uploads.create(caller.user_id, body.announced())
    response.headers["Location"] = f"/v1/uploads/{upload.id}"
    return UploadResponse.of(upload)


@router.get("", operation_id="list_uploads", summary="List uploads", responses=responses(*CALLER))
async def list_uploads(
    caller: Uploader,
    services: Wired,
    status: UploadStatus | None = None,
    cursor: Annotated[str | None, Query(max_length=256)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> UploadPage:
    """The caller's, newest first."""
    after = cursors.decode(cursor) if cursor is not None else None
    page, following = await services.uploads.page(
        caller.user_id, status=status, after=after, limit=limit
    )
    return UploadPage(
        items=[UploadResponse.of(upload) for upload in page],
        next_cursor=cursors.encode(following) if following else None,
    )


@router.get(
    "/{upload_id}",
    operation_id="get_upload",
    summary="Show an upload",
    responses=responses(*CALLER, errors.UploadNotFoundError),
)
async def get_upload(upload_id: UploadId, caller: Uploader, services: Wired) -> UploadResponse:
    """Another user's upload is 404."""
    return UploadResponse.of(await services.uploads.get(caller.user_id, upload_id))


@router.delete(
    "/{upload_id}",
    operation_id="delete_upload",
    summary="Abort or delete an upload",
    responses=responses(*_DELETE),
)
async def delete_upload(upload_id: UploadId, caller: Uploader, services: Wired) -> UploadResponse:
    """In flight: aborts. Completed: deletes the object. Ended already: answers it as it is."""
    return UploadResponse.of(await services.uploads.delete(caller.user_id, upload_id))
