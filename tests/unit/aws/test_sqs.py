"""A queue over a real wire: what is asked, what is read, and what errors become."""

import asyncio
import json
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any

import pytest

from aws.clients import AwsAccess, opened
from aws.sqs import SqsQueue
from errors import UnavailableError
from service.completion.queue import QueueMessage
from tests.fakes.fixtures import written
from tests.fakes.http_stub import HttpStub, Reply

__all__ = ["written"]

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/uploads"
MESSAGES = [QueueMessage(f"m{number}", f"receipt-{number}", "{}", 1) for number in range(2)]


@pytest.fixture
async def queue(stub: HttpStub) -> AsyncIterator[SqsQueue]:
    access = AwsAccess(
        region="us-east-1",
        access_key_id="AKIAEXAMPLE",
        secret_access_key="the-service's-own-secret",
        sqs=True,
        sqs_endpoint=stub.url,
        max_attempts=2,
    )
    async with opened(access) as clients:
        assert clients.sqs is not None
        config: Any = clients.sqs.meta.config
        assert config.read_timeout > 20, "longer than the longest poll"
        yield SqsQueue(clients.sqs, url=URL, wait_seconds=20, visibility_seconds=60, call_seconds=8)


def answer(**body: Any) -> Reply:
    headers = {"Content-Type": "application/x-amz-json-1.0"}
    return Reply(200, json.dumps(body).encode(), headers)


def refusal(code: str, status: int = 400) -> Reply:
    body = {"__type": f"com.amazonaws.sqs#{code}", "message": "arn:aws:secret"}
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/x-amz-json-1.0"})


async def test_without_a_queue_there_is_no_client() -> None:
    access = AwsAccess(region="us-east-1", access_key_id="AKIAEXAMPLE", secret_access_key="secret")
    async with opened(access) as clients:
        assert clients.sqs is None


async def test_messages_are_polled_for_long_and_hidden(queue: SqsQueue, stub: HttpStub) -> None:
    found = {"MessageId": "m0", "ReceiptHandle": "r", "Body": "{}"}
    stub.answer = answer(
        Messages=[{**found, "Attributes": {"ApproximateReceiveCount": "3"}}, {**found, "Body": "x"}]
    )
    assert await queue.receive() == [
        QueueMessage("m0", "r", "{}", 3),
        QueueMessage("m0", "r", "x", 1),
    ]
    (request,) = stub.requests
    assert request.headers["x-amz-target"] == "AmazonSQS.ReceiveMessage"
    assert request.json() == {
        "QueueUrl": URL,
        "MaxNumberOfMessages": 10,
        "WaitTimeSeconds": 20,
        "VisibilityTimeout": 60,
        "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
    }


async def test_no_messages(queue: SqsQueue, stub: HttpStub) -> None:
    stub.answer = answer()
    assert await queue.receive() == []


async def test_a_batch_is_deleted_or_hidden_by_receipt(queue: SqsQueue, stub: HttpStub) -> None:
    stub.answer = answer(Successful=[{"Id": "0"}, {"Id": "1"}])
    await queue.delete(MESSAGES)
    await queue.hide(MESSAGES[1:], 7)
    deletion, hiding = [request.json() for request in stub.requests]
    assert deletion["Entries"] == [
        {"Id": "0", "ReceiptHandle": "receipt-0"},
        {"Id": "1", "ReceiptHandle": "receipt-1"},
    ]
    assert hiding["Entries"] == [{"Id": "0", "ReceiptHandle": "receipt-1", "VisibilityTimeout": 7}]


async def test_what_fails_within_a_batch_is_told_and_comes_again(
    queue: SqsQueue, stub: HttpStub, written: StringIO
) -> None:
    failed = {"Id": "1", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}
    stub.answer = answer(Successful=[{"Id": "0"}], Failed=[failed])
    await queue.delete(MESSAGES)
    await queue.hide(MESSAGES, 7)
    told = [line for line in written.getvalue().splitlines() if "queue.entry_failed" in line]
    assert [json.loads(line)["message_id"] for line in told] == ["m1", "m1"]
    assert "receipt-1" not in "".join(told)


CALLS = pytest.mark.parametrize("call", ["receive", "delete", "hide"])


async def called(queue: SqsQueue, call: str) -> None:
    arguments: dict[str, Any] = {"receive": [], "delete": [MESSAGES], "hide": [MESSAGES, 7]}
    await getattr(queue, call)(*arguments[call])


@CALLS
@pytest.mark.parametrize(
    "reply",
    [
        refusal("RequestThrottled"),
        refusal("OverLimit", 403),
        refusal("QueueDoesNotExist"),
        refusal("AccessDeniedException"),
        refusal("InternalFailure", 500),
        Reply(503, b"<html>"),
        Reply(200, b'{"Failed": 7, "Messages": [7]}'),
        Reply(200, b'{"Failed": [{"Id": "9"}], "Messages": [{}]}'),
        Reply(200, b"{", promised=50),
    ],
    ids=lambda reply: f"{reply.status} {reply.body[:40]!r}",
)
async def test_whatever_fails_the_queue_is_away(
    queue: SqsQueue, stub: HttpStub, call: str, reply: Reply
) -> None:
    stub.answer = reply
    with pytest.raises(UnavailableError) as caught:
        await called(queue, call)
    assert "secret" not in str(caught.value)


@CALLS
async def test_a_queue_that_never_answers_is_given_up(stub: HttpStub, call: str) -> None:
    stub.answer = Reply(hang=True)
    access = AwsAccess(
        region="us-east-1",
        access_key_id="AKIAEXAMPLE",
        secret_access_key="secret",
        sqs=True,
        sqs_endpoint=stub.url,
    )
    async with opened(access) as clients:
        assert clients.sqs is not None
        queue = SqsQueue(
            clients.sqs, url=URL, wait_seconds=0, visibility_seconds=60, call_seconds=0.05
        )
        with pytest.raises(UnavailableError):
            await called(queue, call)


async def test_a_long_poll_may_take_as_long_as_it_is_to_wait_and_a_call_besides() -> None:
    class Waiting:
        async def receive_message(self, **_: object) -> dict[str, object]:
            await asyncio.sleep(0.05)
            return {}

    client: Any = Waiting()
    queue = SqsQueue(client, url=URL, wait_seconds=20, visibility_seconds=60, call_seconds=0.001)
    assert await queue.receive() == []
