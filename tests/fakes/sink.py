"""Where relayed bytes go: into the store in memory, by the addresses of the readable signer."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

from errors import MultipartGoneError, UploadStateError
from service.uploads.signed import SignedRequest
from tests.fakes.multiparts import MemoryMultiparts
from tests.fakes.store import MemoryStore, stored


class MemorySink:
    """Implements service.uploads.ports.Sink. `bytes` is what came, by object key or part number;
    `order` the part numbers as they came; `failures` are raised first, one a request.
    """

    def __init__(self, store: MemoryStore, multiparts: MemoryMultiparts) -> None:
        self.bytes: dict[str | int, bytes] = {}
        self.order: list[int] = []
        self.failures: list[Exception] = []
        self._store = store
        self._multiparts = multiparts

    async def send(self, target: SignedRequest, *, size: int, chunks: AsyncIterator[bytes]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        address = urlsplit(target.url)
        key = address.path.removeprefix("/uploads/")
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if "partNumber" in query:
            await self._part(query["uploadId"], int(query["partNumber"]), size, chunks)
        elif self._store.holds(key):
            raise UploadStateError
        else:
            self.bytes[key] = await _whole(size, chunks)
            headers = target.headers
            self._store.put(
                key,
                stored(
                    size=size,
                    content_type=headers["content-type"],
                    upload_id=headers["x-amz-meta-uploadgate-upload-id"],
                ),
            )

    async def _part(
        self, multipart_id: str, number: int, size: int, chunks: AsyncIterator[bytes]
    ) -> None:
        content = await _whole(size, chunks)
        if multipart_id not in self._multiparts.under_way:
            raise MultipartGoneError
        self.bytes[number] = content
        self.order.append(number)
        self._multiparts.put(multipart_id, number, size)


async def _whole(size: int, chunks: AsyncIterator[bytes]) -> bytes:
    whole = b"".join([chunk async for chunk in chunks])
    assert len(whole) == size
    return whole
