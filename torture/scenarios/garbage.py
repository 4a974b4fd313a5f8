"""What nobody should send, at every door; and answers that mean nothing, from all that is asked."""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator

import httpx
from sqlalchemy import func, select

from state.tables import inbox
from torture.ledger import Ledger
from torture.proxy import Fault, FaultProxy
from torture.replica import Replica
from torture.result import Result, judged
from torture.traffic import Traffic, filer_event
from torture.world import TOPIC, World

_DOORS = ("seaweedfs", "sns", "eventbridge")
_RAW_SECONDS = 60.0
_FELT_SECONDS = 120.0
_FELT = 3
_CLIENT_ERRORS = range(400, 500)


async def garbage_at_the_doors(world: World, *, rounds: int = 10, seed: int = 5) -> Result:
    """All refused, nothing kept, nobody ended."""
    since = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 - a repeatable course, no secret
    ledger = Ledger(await world.people(1))
    before = await _kept(world)
    answers: Counter[int] = Counter()
    name = "garbage at the doors"
    for number in range(rounds):
        world.doing = f"{name}: {number + 1} of {rounds}"
        for replica in world.replicas:
            async for status in _refusals(world, replica, chance):
                answers[status] += 1
            await _scream(replica, chance.randbytes(20_000))
    ledger.notes += [
        f"garbage was answered {status}" for status in answers if status not in _CLIENT_ERRORS
    ]
    if (after := await _kept(world)) != before:
        ledger.notes.append(f"{after - before} pieces of garbage were kept")
    said = ", ".join(f"{times} times {status}" for status, times in sorted(answers.items()))
    return await judged(name, world, ledger, rounds=rounds, since=since, remark=f"answered {said}")


async def garbage_from_outside(world: World, *, uploads: int = 8, seed: int = 6) -> Result:
    """Store and application both talk nonsense for a while."""
    name = world.doing = "garbage from store and application"
    since = time.monotonic()
    ledger = Ledger(await world.people(2))
    traffic = Traffic(world, ledger, random.Random(seed))  # noqa: S311 - a repeatable course
    for proxies in ([replica.store for replica in world.replicas], [world.application]):
        events = await traffic.mixed(uploads)
        for proxy in proxies:
            await proxy.set(Fault.GARBAGE)
        heard = _met(proxies)
        await traffic.tell_thrice(events)
        await _felt(ledger, proxies, heard)
        await world.heal()
    return await judged(name, world, ledger, rounds=2, since=since)


def _met(proxies: list[FaultProxy]) -> int:
    return sum(proxy.met for proxy in proxies)


async def _felt(ledger: Ledger, proxies: list[FaultProxy], before: int) -> None:
    end = time.monotonic() + _FELT_SECONDS
    while _met(proxies) - before < _FELT:
        if time.monotonic() > end:
            ledger.notes.append("nobody asked for the garbage")
            return
        await asyncio.sleep(0.05)


async def _kept(world: World) -> int:
    async with world.engine.connect() as connection:
        return (await connection.execute(select(func.count()).select_from(inbox))).scalar_one()


async def _refusals(world: World, replica: Replica, chance: random.Random) -> AsyncIterator[int]:
    """Statuses of what was posted: bytes, JSON that breaks off, JSON of another kind, and what
    would be good if it were proved.
    """
    good = filer_event(world.cloud.bucket, "us-east-1:00/x.bin", 1, "00", chance)
    token = {"authorization": f"Bearer {world.cloud.webhook_token}"}
    topic = {"x-amz-sns-topic-arn": TOPIC}
    wrong = {"authorization": f"Bearer {chance.randbytes(16).hex()}"}
    for body in (
        chance.randbytes(300),
        good[: chance.randrange(len(good) - 1)],
        _of_no_use(chance),
    ):
        for door in _DOORS:
            yield await _posted(replica, door, body, topic if door == "sns" else {})
        yield await _posted(replica, "seaweedfs", body, token)
    for headers in ({}, wrong, {"authorization": "Bearer"}):
        yield await _posted(replica, "seaweedfs", good, headers)
    head = {"x-amz-sns-message-type": "Notification", **topic}
    yield await _posted(replica, "sns", _unsigned(), head)
    yield await _posted(replica, "eventbridge", b'{"source":"aws.s3"}', {"x-api-key": "wrong"})


async def _posted(replica: Replica, door: str, body: bytes, headers: dict[str, str]) -> int:
    answer = await replica.api.post(f"/v1/webhooks/{door}", content=body, headers=headers)
    return answer.status_code


def _of_no_use(chance: random.Random) -> bytes:
    return chance.choice(
        [b"[]", b"0", b'{"message": 1}', b'{"key": {}, "message": {"new_entry": []}}', b"\xff{}"]
    )


def _unsigned() -> bytes:
    """Of the right topic. Its certificate is at no address of AWS, and must not be asked for."""
    message = {"Type": "Notification", "TopicArn": TOPIC, "Message": "{}"}
    return json.dumps(message | {"Signature": "AAAA", "SigningCertURL": "http://x/"}).encode()


async def _scream(replica: Replica, content: bytes) -> None:
    """At the port itself, in no protocol at all."""
    async with asyncio.timeout(_RAW_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", replica.service.port)
        with contextlib.suppress(OSError):
            writer.write(content)
            await writer.drain()
            writer.write_eof()
            await reader.read()
        writer.close()
    answer = await replica.api.get("/livez")
    if answer.status_code != httpx.codes.OK:
        raise RuntimeError("a replica does not live any more")
