"""Users who upload, and a store that tells: as in real life, what fails is tried again."""

import asyncio
import base64
import json
import random
import secrets
import time
from collections.abc import Sequence
from typing import Any

import httpx

from service.completion.sources import seaweedfs
from torture.ledger import Ledger, StoreEvent
from torture.replica import Replica
from torture.world import PROFILE, Person, World

_PATIENCE = 300.0
_PAUSE = 0.2


class Traffic:
    """Of one scenario. `chance` decides whatever is not said."""

    def __init__(self, world: World, ledger: Ledger, chance: random.Random) -> None:
        self._world = world
        self._ledger = ledger
        self._chance = chance
        self._bearer = {"authorization": f"Bearer {world.cloud.webhook_token}"}

    def anybody(self) -> Person:
        return self._chance.choice(self._ledger.people)

    async def uploaded(self, size: int = 32) -> StoreEvent:
        """Announced, with a quota to keep, and sent to the address that was signed."""
        upload = await self._announce(size)
        content = self._chance.randbytes(size)
        async with httpx.AsyncClient(trust_env=False, timeout=120) as store:
            put = upload["put"]
            answer = await store.put(put["url"], content=content, headers=put["headers"])
            answer.raise_for_status()
        return self._told(upload["key"], size, answer.headers["etag"], "completed")

    async def oversized(self, size: int = 32) -> StoreEvent:
        """Announced, and more than that was written."""
        upload = await self._announce(size)
        return await self._written(upload["key"], size + 1, "rejected")

    async def adopted(self, size: int = 32) -> StoreEvent:
        """Written into a user's folder, and announced by nobody."""
        key = f"{self.anybody().folder}{secrets.token_hex(8)}.bin"
        return await self._written(key, size, "completed")

    async def rewritten(self, event: StoreEvent, size: int = 32) -> StoreEvent:
        """What was completed, with other bytes of the same number."""
        return await self._written(event.key, size, "replaced")

    async def mixed(self, count: int) -> list[StoreEvent]:
        """So many objects of all kinds, at the store, of which nobody has told yet."""
        kinds = [self.uploaded, self.adopted, self.uploaded, self.oversized]
        return list(await asyncio.gather(*(kinds[n % len(kinds)]() for n in range(count))))

    async def tell(self, events: Sequence[StoreEvent], *replicas: Replica) -> None:
        """Each event once, all at once, to one of these replicas (to either by default)."""
        choice = replicas or self._world.replicas
        await asyncio.gather(*(self._post(e, self._chance.choice(choice)) for e in events))

    async def tell_thrice(self, events: Sequence[StoreEvent], *replicas: Replica) -> None:
        copies = [*events] * 3
        self._chance.shuffle(copies)
        await self.tell(copies, *replicas)

    async def tell_in_order(self, events: Sequence[StoreEvent]) -> None:
        for event in events:
            await self._post(event, self._chance.choice(self._world.replicas))

    async def _announce(self, size: int) -> Any:
        """A replica that dies meanwhile leaves the rest to the other one."""
        person, name = self.anybody(), secrets.token_hex(8)
        headers = person.headers | {"Idempotency-Key": name}
        body = {
            "filename": f"{name}.bin",
            "size": size,
            "profile": PROFILE,
            "transport": "presigned",
        }
        end = time.monotonic() + _PATIENCE
        while True:
            api = self._chance.choice(self._world.replicas).api
            answer = await _asked(api, "/v1/uploads", headers=headers, json=body)
            if isinstance(answer, httpx.Response) and answer.status_code == 201:  # noqa: PLR2004
                return answer.json()
            if time.monotonic() > end:
                raise RuntimeError(f"no upload can be announced: {answer}")
            await asyncio.sleep(_PAUSE)

    async def _written(self, key: str, size: int, status: str) -> StoreEvent:
        content = self._chance.randbytes(size)
        place = {"Bucket": self._world.cloud.bucket, "Key": key}
        answer = await self._world.s3.put_object(**place, Body=content)
        return self._told(key, size, answer["ETag"], status)

    def _told(self, key: str, size: int, etag: str, status: str) -> StoreEvent:
        bucket = self._world.cloud.bucket
        body = filer_event(bucket, key, size, etag.strip('"'), self._chance)
        parsed = seaweedfs.parse(body, bucket=bucket)
        if parsed is None:
            raise ValueError("the filer's event is none")
        self._ledger.expected[key] = status
        self._ledger.etags[key] = etag.strip('"')
        return StoreEvent(body, parsed.dedupe_key, key)

    async def _post(self, event: StoreEvent, replica: Replica) -> None:
        """Until it is acknowledged: by this one, or by the other one where this one fails."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            if await self.posted(event, replica):
                return
            replica = self._other(replica)
            await asyncio.sleep(_PAUSE)
        self._ledger.notes.append(f"an event of {event.key} was never acknowledged")

    async def posted(self, event: StoreEvent, replica: Replica) -> bool:
        """Whether it was acknowledged."""
        answer = await _asked(
            replica.api, "/v1/webhooks/seaweedfs", headers=self._bearer, content=event.body
        )
        if not isinstance(answer, httpx.Response):
            self._ledger.answers[type(answer).__name__] += 1
            return False
        self._ledger.answers[str(answer.status_code)] += 1
        if answer.is_success:
            self._ledger.acknowledged.add(event.dedupe_key)
        elif answer.is_client_error:
            self._ledger.notes.append(f"an event was refused: {answer.status_code}")
        return answer.is_success

    def _other(self, replica: Replica) -> Replica:
        first, second = self._world.replicas
        return second if replica is first else first


async def _asked(api: httpx.AsyncClient, path: str, **more: Any) -> httpx.Response | Exception:
    try:
        return await api.post(path, **more)
    except httpx.TransportError as error:
        return error


def filer_event(bucket: str, key: str, size: int, etag: str, chance: random.Random) -> bytes:
    """As the SeaweedFS filer posts it."""
    parent, _, name = f"/buckets/{bucket}/{key}".rpartition("/")
    fid = {"volume_id": 1, "file_key": chance.getrandbits(40), "cookie": chance.getrandbits(32)}
    now = int(time.time())
    entry = {
        "name": name,
        "attributes": {"file_size": size, "mtime": now, "crtime": now},
        "extended": {"Seaweed-X-Amz-ETag": base64.b64encode(f'"{etag}"'.encode()).decode()},
        "chunks": [{"fid": fid, "size": size}],
    }
    message = {"new_entry": entry, "new_parent_path": parent}
    body = {"event_type": "create", "key": f"{parent}/{name}", "message": message}
    return json.dumps(body).encode()
