"""A record keeps the bucket it was made with, whatever the service is set to since."""

from collections.abc import AsyncIterator
from typing import Any

from service.uploads.model import Transport
from service.uploads.model import UploadStatus as S
from service.uploads.signed import PartTerms, SignedRequest
from tests.fakes.records import BUCKET, upload
from tests.fakes.signer import STORE
from tests.fakes.store import stored
from tests.fakes.uploads import UploadWorld, in_parts

OLD = "bucket-of-old"
assert OLD != BUCKET


def of_old(signed: SignedRequest) -> bool:
    return signed.url.startswith(f"{STORE}/{OLD}/")


def single(**changes: Any) -> UploadWorld:
    return UploadWorld(upload(bucket=OLD, transport=Transport.PRESIGNED, **changes))


async def test_a_put_and_a_form_go_to_the_records_bucket() -> None:
    world = single()
    offer = await world.transfers.offer(world.row())
    assert offer.put is not None
    assert of_old(offer.put)
    assert offer.post is not None
    assert offer.post.url == f"{STORE}/{OLD}"


async def test_parts_go_to_the_records_bucket() -> None:
    world = UploadWorld(in_parts(bucket=OLD))
    signed = await world.transfers.sign_parts(world.row(), [PartTerms(1), PartTerms(2)])
    assert [of_old(part) for part in signed] == [True, True]


async def test_a_download_comes_from_the_records_bucket() -> None:
    world = single(status=S.COMPLETED, etag="one", next_look_at=None)
    world.store.put(world.row().key, stored(), OLD)
    assert of_old(await world.downloads.sign(world.row()))


async def test_relayed_parts_go_to_the_records_bucket() -> None:
    world = UploadWorld(in_parts(bucket=OLD, part_size=5, part_count=1, declared_size=5))
    targets: list[SignedRequest] = []

    class Noting:
        async def send(
            self, target: SignedRequest, *, size: int, chunks: AsyncIterator[bytes]
        ) -> None:
            targets.append(target)
            assert len(b"".join([chunk async for chunk in chunks])) == size
            world.multiparts.put("mp_1", 1, size)

    async def body() -> AsyncIterator[bytes]:
        yield b"bytes"

    world.relay._sink = Noting()
    await world.relay.take(world.row(), None, body())
    assert [of_old(target) for target in targets] == [True]
