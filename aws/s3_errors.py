"""What the store's errors mean. S3's list of them: "Amazon S3 API reference, Error responses"."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from errors import StoreRefusedError, StoreUnavailableError, UploadgateError
from service.uploads.ports import StoredObject

_log = structlog.get_logger("uploadgate.store")
_SERVER_FAULT = 500
# What botocore's parser raises for bodies that are not the API's.
_NO_ANSWER_OF_S3 = (ValueError, KeyError, TypeError, AttributeError, RuntimeError)
# Codes, and the statuses that stand for them where an answer has no body.
ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
NO_SUCH_KEY = "NoSuchKey"
# S3 and its like send it with every answer; ingresses and proxies do not with theirs.
MARK = "x-amz-request-id"
CHANGED = frozenset({"412", "PreconditionFailed"})
CONFLICTING = frozenset({"409", "ConditionalRequestConflict", "OperationAborted"})
GONE = "NoSuchUpload"
LONGEST_ERROR = 4096  # bytes of an answer in which its code is looked for
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_BUSY = CONFLICTING | {"SlowDown", "RequestTimeout", "503", "429"}


class UnmarkedError(Exception):
    """An answer without the store's mark: an ingress's or a proxy's, or a store's that sends none.
    `found` is what it tells of, None where it knows of nothing.
    """

    def __init__(self, found: StoredObject | None = None) -> None:
        super().__init__()
        self.found = found


def is_marked(answer: Mapping[str, Any]) -> bool:
    """Of what botocore has read: an answer, or an error's."""
    return MARK in answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_in(body: bytes) -> str:
    """Of an error as S3 writes it; empty for anything else."""
    found = _CODE.search(body)
    return found[1].decode() if found else ""


def transient(code: str, status: int) -> bool:
    return not _BUSY.isdisjoint({code, str(status)}) or status >= _SERVER_FAULT


def refusal(operation: str, code: str, status: int) -> UploadgateError:
    """The error to raise for an answer that is none of those the caller knows."""
    _log.warning("store.refused", operation=operation, aws_code=code[:64], status=status)
    return StoreUnavailableError() if transient(code, status) else StoreRefusedError()


@asynccontextmanager
async def store_errors(seconds: float) -> AsyncIterator[None]:
    """One call to the store: within this time, and with errors of ours only."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except ClientError as error:
        raise refusal(error.operation_name, code_of(error), status_of(error)) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StoreRefusedError("The service has no credentials for the store") from error
    except (BotoCoreError, TimeoutError, OSError, *_NO_ANSWER_OF_S3) as error:
        _log.warning("store.unavailable", cause=type(error).__name__)
        raise StoreUnavailableError from error
