"""Where the time of one webhook goes: each part alone, in microseconds of processor time."""

import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from aws.sns.canonical import canonical_string, unverified_message
from aws.sns.certificates import Certificates
from aws.sns.receiver import SnsReceiver
from aws.sns.signature import verified
from benchmarks.sns_messages import TOPIC, Signer, bodies
from main import create_app
from service.clock import utc_now
from service.completion.events import ObjectEvent
from service.completion.sources import s3
from service.completion.sources.fields import json_object
from settings import Settings
from state.database import Database
from state.inbox import SqlInbox

_ROUNDS = 10
_BATCH = 50  # about what is committed at once under this load
_OK = 200

Work = Callable[[Any], Awaitable[object]]


async def parts(signer: Signer, requests: list[bytes]) -> dict[str, float]:
    """By name; the least of some rounds, which others' work on the machine disturbs least."""
    receiver = _receiver(signer)
    texts = bodies(requests)
    read = [unverified_message(json_object(text)) for text in texts]
    key = await Certificates(_Fetched(signer.certificate()), clock=utc_now).key_at("one")
    app = create_app(Settings(environment="development"))
    gc.collect()
    gc.freeze()
    message = await _least(texts, _plain(_signed_string))
    signature = await _least(read, _plain(lambda one: verified(one, key)))
    record = await _least(read, _plain(lambda one: _events(one["Message"])))
    whole = await _least(texts, lambda one: receiver.receive(one, {"x-amz-sns-topic-arn": TOPIC}))
    return {
        "its JSON, its fields, the signed string": message,
        "the signature (RSA-2048, SHA-256)": signature,
        "the S3 record in it": record,
        "topic, age, addresses, certificate": whole - message - signature - record,
        "middleware, route, answer": await _least(requests, _asked(app)),
    }


async def committing(url: str, requests: list[bytes]) -> float:
    """An event's share of a commit, the service's side of it."""
    messages = (json_object(text)["Message"] for text in bodies(requests))
    events = [found for message in messages for found in _events(str(message))]
    batches = [events[start : start + _BATCH] for start in range(0, len(events), _BATCH)]
    async with Database.opened(url) as database:
        inbox = SqlInbox(database, limit=10**9)
        await inbox.put(batches.pop(), utc_now())  # prepares the statement
        took = [await _took(partial(inbox.put, batch, utc_now())) for batch in batches]
    return min(took) / _BATCH


def _signed_string(text: bytes) -> bytes:
    return canonical_string(unverified_message(json_object(text)))


def _events(message: str) -> list[ObjectEvent]:
    return s3.parse(message, fallback_id="m", source="sns")


def _plain(work: Callable[[Any], object]) -> Work:
    async def call(item: object) -> None:
        work(item)

    return call


async def _took(work: Callable[[], Awaitable[object]]) -> float:
    began = time.process_time()
    await work()
    return (time.process_time() - began) * 1e6


async def _least(items: Sequence[Any], work: Work) -> float:
    async def one_round() -> None:
        for item in items:
            await work(item)

    return min([await _took(one_round) for _ in range(_ROUNDS)]) / len(items)


class _Fetched:
    def __init__(self, pem: bytes) -> None:
        self._pem = pem

    async def fetch(self, _url: str) -> bytes:
        return self._pem


async def _confirm(_arn: str, _token: str) -> None:
    raise AssertionError("the benchmark sends notifications alone")


def _receiver(signer: Signer) -> SnsReceiver:
    return SnsReceiver(
        topic_arns=frozenset({TOPIC}),
        sha256_only=False,
        certificates=Certificates(_Fetched(signer.certificate()), clock=utc_now),
        confirm=_confirm,
        clock=utc_now,
    )


class _Nothing:
    """A receiver and a completion that cost nothing."""

    def admit(self, _headers: object) -> None: ...

    async def receive(self, _body: bytes, _headers: object) -> list[ObjectEvent]:
        return []

    async def accept(self, _events: object) -> int:
        return 1


def _asked(app: Any) -> Work:
    """One request through the application, as uvicorn would call it."""
    services = SimpleNamespace(sns=_Nothing(), completion=_Nothing())

    async def send(message: Any) -> None:
        if message.get("status", _OK) != _OK:
            raise SystemExit(f"answered {message['status']}")

    async def ask(request: bytes) -> None:
        scope, body = _scope(request)
        told = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return told.pop()

        await app({**scope, "state": {"services": services}}, receive, send)

    return ask


def _scope(request: bytes) -> tuple[dict[str, Any], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, path, _ = first.decode().split(" ")
    names = (line.split(b": ", 1) for line in lines)
    return {
        "type": "http",
        "http_version": "1.1",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in names],
    }, body
