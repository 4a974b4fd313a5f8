"""Asking the service to complete what the store has, and what it may answer instead."""

import asyncio
import threading

from client.arrival import wait_until_settled
from client.engine.answers import MultipartLostError
from client.engine.by_keys import passing
from client.engine.means import Means
from client.engine.plan import Piece, Plan
from client.problems import ApiError, RejectedError, TransferError
from client.wire import Upload


async def completed(means: Means, record: Upload, plan: Plan) -> Upload | list[Piece]:
    """The record as it is then, or the pieces that have to go (again). Raises MultipartLostError,
    RejectedError and other ClientErrors.
    """
    try:
        return await means.threads.call(means.api.complete_upload, record.id)
    except ApiError as error:
        if error.code == "multipart_gone":
            raise MultipartLostError(error.detail) from None
        if error.code == "upload_rejected":
            raise RejectedError("rejected", error.detail) from None
        if error.code == "upload_incomplete":
            return await _missing(means, record, plan, error)
        if passing(error):  # it has been asked often enough: the store's own word will do it
            return await means.threads.call(means.api.upload, record.id)
        raise


async def _missing(means: Means, record: Upload, plan: Plan, error: ApiError) -> list[Piece]:
    named = error.facts.get("missing_parts") or ()
    missing = plan.by_number(named) if not plan.whole else list(plan.pieces)
    if not missing:
        stored = await means.threads.call(means.api.stored_parts, record.id)
        missing = plan.missing(stored)
    if not missing:
        raise TransferError(error.detail) from None
    return missing


async def settled(means: Means, record: Upload) -> Upload:
    """The completed record. Raises RejectedError, NotVerifiedError."""
    if record.status == "completed":
        return record
    enough = threading.Event()
    try:
        return await means.threads.call(wait_until_settled, means.api, record.id, pause=enough.wait)
    except asyncio.CancelledError:
        enough.set()
        raise
