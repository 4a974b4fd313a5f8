"""A queue of Amazon SQS, by its API. It lies in the client's Region, and the service's own role
needs sqs:ReceiveMessage, sqs:DeleteMessage and sqs:ChangeMessageVisibility on it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from errors import UnavailableError
from service.completion.queue import QueueMessage

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

MOST_AT_ONCE = 10  # SQS' own bound on a batch
_COUNT: Final = "ApproximateReceiveCount"
# What botocore's parser, and reading an answer here, raise for bodies that are not the API's.
_NO_ANSWER_OF_SQS = (ValueError, LookupError, TypeError, AttributeError, RuntimeError)
_AWAY = "The queue does not answer"

_log = structlog.get_logger("uploadgate.queue")


class SqsQueue:
    """Implements service.completion.queue.Queue. The client's read time-out must be longer than
    `wait_seconds`; `call_seconds` bounds a call with its retries, without that wait.
    """

    def __init__(
        self,
        client: "SQSClient",
        *,
        url: str,
        wait_seconds: int,
        visibility_seconds: int,
        call_seconds: float,
    ) -> None:
        self._client = client
        self._url = url
        self._wait_seconds = wait_seconds
        self._visibility_seconds = visibility_seconds
        self._call_seconds = call_seconds

    async def receive(self) -> list[QueueMessage]:
        async with _mapping_errors(self._wait_seconds + self._call_seconds):
            answer: Any = await self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=MOST_AT_ONCE,
                WaitTimeSeconds=self._wait_seconds,
                VisibilityTimeout=self._visibility_seconds,
                MessageSystemAttributeNames=[_COUNT],
            )
            return [_message(found) for found in answer.get("Messages", [])]

    async def delete(self, messages: Sequence[QueueMessage]) -> None:
        entries: Any = _entries(messages)
        async with _mapping_errors(self._call_seconds):
            answer = await self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
            _tell_failures("DeleteMessageBatch", answer, messages)

    async def hide(self, messages: Sequence[QueueMessage], seconds: int) -> None:
        entries: Any = _entries(messages, VisibilityTimeout=seconds)
        async with _mapping_errors(self._call_seconds):
            answer = await self._client.change_message_visibility_batch(
                QueueUrl=self._url, Entries=entries
            )
            _tell_failures("ChangeMessageVisibilityBatch", answer, messages)


def _entries(messages: Sequence[QueueMessage], **more: int) -> list[dict[str, Any]]:
    """Named by their place: two deliveries of one message may share a batch."""
    return [
        {"Id": str(place), "ReceiptHandle": message.receipt, **more}
        for place, message in enumerate(messages)
    ]


def _message(found: Any) -> QueueMessage:
    return QueueMessage(
        id=found["MessageId"],
        receipt=found["ReceiptHandle"],
        body=found["Body"],
        receives=max(1, int(found.get("Attributes", {}).get(_COUNT, 1))),
    )


def _tell_failures(operation: str, answer: Any, messages: Sequence[QueueMessage]) -> None:
    """A batch succeeds in part. What failed comes again."""
    for failed in answer.get("Failed", []):
        _log.warning(
            "queue.entry_failed",
            operation=operation,
            message_id=messages[int(failed["Id"])].id,
            aws_code=str(failed.get("Code", ""))[:64],
        )


@asynccontextmanager
async def _mapping_errors(seconds: float) -> AsyncIterator[None]:
    """One call with its retries, within this time; whatever fails, the queue is away. A refusal is
    no other: once the queue's policy is mended, it goes on without a restart.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        operation = error.operation_name
        _log.warning("queue.refused", operation=operation, aws_code=code[:64], status=status)
        raise UnavailableError("The queue refused the request") from error
    except (BotoCoreError, TimeoutError, OSError, *_NO_ANSWER_OF_SQS) as error:
        _log.warning("queue.no_answer", cause=type(error).__name__)
        raise UnavailableError(_AWAY) from error
