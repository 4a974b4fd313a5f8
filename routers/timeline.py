"""Why an upload is where it is."""

from typing import Annotated

from fastapi import APIRouter, Depends

import errors
from auth.callers import ADMIN, UPLOADS, Caller
from routers.caller import CurrentCaller
from routers.failures import CALLER
from routers.no_store import NO_STORE
from routers.problems import responses
from routers.services import Wired
from routers.timeline_schemas import TimelineResponse
from routers.uploads import UploadId

router = APIRouter(prefix="/v1/uploads/{upload_id}", tags=["uploads"], dependencies=[NO_STORE])


async def _reader(caller: CurrentCaller) -> Caller:
    if caller.scopes.isdisjoint({ADMIN, UPLOADS}):
        raise errors.MissingScopeError
    return caller


@router.get(
    "/timeline",
    operation_id="get_upload_timeline",
    summary="Explain where an upload is",
    responses=responses(*CALLER, errors.UploadNotFoundError),
)
async def get_upload_timeline(
    upload_id: UploadId, caller: Annotated[Caller, Depends(_reader)], services: Wired
) -> TimelineResponse:
    """What happened to it, what it waits for, and when the service looks next, by the records
    alone: the store is not asked. For its owner; with the scope `admin` any user's, and what was
    sent to the application besides.
    """
    if ADMIN in caller.scopes:
        return TimelineResponse.of(await services.timeline.of_any(upload_id))
    return TimelineResponse.of(await services.timeline.of_own(caller.user_id, upload_id))
