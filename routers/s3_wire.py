"""For transfer managers that have each of their S3 requests signed (Uppy's `signRequest`).

Bytes go to presigned addresses of the store. What begins, lists, completes and aborts a multipart
goes to addresses of our own that speak S3's XML, because the multipart is the service's.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.types import Receive, Scope

import errors
from auth.callers import UPLOADS
from routers.caller import Uploader
from routers.doors import Answer, usual_call
from routers.failures import CALLER, IN_FLIGHT, JSON_BODY, STORE
from routers.json_body import JSON_ONLY
from routers.no_store import NO_STORE
from routers.part_schemas import PartNumber
from routers.problems import responses
from routers.s3_multipart import PREFIX
from routers.services import Services, Wired
from service.uploads.model import Transport, Upload
from service.uploads.operation_tickets import Operation
from service.uploads.own_parts import check_named
from service.uploads.transfers import check_in_flight

router = APIRouter(prefix="/v1/s3", tags=["uppy"], dependencies=[NO_STORE])

_PRESIGN = (
    *CALLER,
    *JSON_BODY,
    *STORE,
    *IN_FLIGHT,
    errors.UploadNotFoundError,
    errors.InvalidPartError,
    errors.MultipartGoneError,
    errors.PolicyError,
)
_OPERATIONS = {"POST": Operation.COMPLETE, "GET": Operation.LIST, "DELETE": Operation.ABORT}
# A page's script may not set these; the browser does.
_THE_BROWSERS = frozenset({"content-length", "host"})

MultipartId = Annotated[str, Field(min_length=1, max_length=1024)]


class PresignRequest(BaseModel):
    """One S3 request, in Uppy's words. What newer clients add is not looked at."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "method": "PUT",
                    "key": "us-east-1:6f1c0f3e/upl_0b9f/holiday.mp4",
                    "uploadId": "8b1c…",
                    "partNumber": 1,
                }
            ]
        }
    )

    method: Literal["PUT", "POST", "GET", "DELETE"]
    key: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="Of an upload of the caller's in flight: announce it first."
    )
    multipart_id: MultipartId | None = Field(default=None, alias="uploadId")
    part_number: PartNumber | None = Field(default=None, alias="partNumber")
    content_type: Annotated[str, Field(max_length=255)] | None = Field(
        default=None,
        alias="contentType",
        description="The announced type counts; it comes back in `headers` or `fields`.",
    )


class PresignedRequest(BaseModel):
    """What `signRequest` answers: `fields` make it a POST form, sent with the file last."""

    url: str
    key: str | None = None
    headers: dict[str, str] | None = None
    fields: dict[str, str] | None = None


@router.post(
    "/presign",
    operation_id="presign_s3_request",
    summary="Sign one S3 request of a transfer manager",
    responses=responses(*_PRESIGN),
    response_model_exclude_none=True,
    dependencies=[JSON_ONLY],
)
async def presign_s3_request(
    body: PresignRequest, caller: Uploader, services: Wired
) -> PresignedRequest:
    """For Uppy's `signRequest`. Without `uploadId`, PUT sends the whole file and POST begins a
    multipart; with it, PUT sends a part, POST completes, GET lists parts and DELETE aborts.
    """
    return await _presigned(services, caller.user_id, body)


class PresignDoor:
    """The short way to `presign_s3_request`."""

    method = "POST"
    path = f"{router.prefix}/presign"

    async def answer(self, scope: Scope, _receive: Receive) -> Answer | None:
        call = usual_call(scope)
        if call is None:
            return None
        try:
            asked = PresignRequest.model_validate_json(call.body)
        except ValidationError:
            return None
        services: Services = scope["state"]["services"]
        caller = services.accounts.caller_of(call.unverified_token)
        if caller is None or UPLOADS not in caller.scopes:
            return None
        signed = await _presigned(services, caller.user_id, asked)
        return Answer(signed.model_dump_json(exclude_none=True).encode())


def doors() -> list[PresignDoor]:
    return [PresignDoor()]


async def _presigned(services: Services, user_id: str, body: PresignRequest) -> PresignedRequest:
    upload = await services.uploads.by_key(user_id, services.sites.bucket, body.key)
    check_in_flight(upload)
    if body.method == "PUT" and body.multipart_id and body.part_number:
        return await _part(services, upload, body.multipart_id, body.part_number)
    if body.part_number is not None:
        raise errors.InvalidRequestError("Only a PUT to a multipart takes a partNumber")
    if body.multipart_id is None:
        return await _whole_or_begin(services, upload, body.method)
    if body.method == "PUT":
        raise errors.InvalidRequestError("A PUT to a multipart takes a partNumber")
    check_named(upload, body.multipart_id)
    operation = _OPERATIONS[body.method]
    return _ticketed(services, operation, upload, body.multipart_id)


async def _whole_or_begin(services: Services, upload: Upload, method: str) -> PresignedRequest:
    if method == "PUT":
        return await _whole(services, upload)
    if method == "POST":
        return _ticketed(services, Operation.CREATE, upload, None)
    raise errors.InvalidRequestError("Objects are neither read nor deleted here")


async def _whole(services: Services, upload: Upload) -> PresignedRequest:
    """A PUT of the announced size, or a form where none was announced."""
    upload = await services.transfers.switched(upload, Transport.PRESIGNED)
    if upload.declared_size is None:
        form = await services.transfers.form(upload)
        return PresignedRequest(url=form.url, key=upload.key, fields=dict(form.fields))
    signed = await services.transfers.put(upload)
    return PresignedRequest(url=signed.url, key=upload.key, headers=_by_script(signed.headers))


async def _part(
    services: Services, upload: Upload, multipart_id: str, number: int
) -> PresignedRequest:
    [signed] = await services.own_parts.sign(upload, multipart_id, [number])
    return PresignedRequest(url=signed.url, headers=_by_script(signed.headers) or None)


def _ticketed(
    services: Services, operation: Operation, upload: Upload, multipart_id: str | None
) -> PresignedRequest:
    ticket = services.operation_tickets.issue(operation, upload, multipart_id)
    key = upload.key if operation is Operation.CREATE else None
    return PresignedRequest(url=f"{services.sites.public_url}{PREFIX}/{ticket}", key=key)


def _by_script(signed: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in signed.items() if name.lower() not in _THE_BROWSERS}
