"""The service's record of a file: made, found again, and taken back."""

import asyncio
from dataclasses import dataclass

from client.api import Api
from client.engine.local_file import LocalFile
from client.engine.threads import Threads
from client.problems import ClientError
from client.wire import ARRIVED, UNFINISHED, Checksum, Upload


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants of the record. `transport` may be auto."""

    transport: str = "auto"
    profile: str | None = None
    checksum: Checksum | None = None


class Records:
    def __init__(self, api: Api, threads: Threads) -> None:
        self._api = api
        self._threads = threads

    async def make(self, file: LocalFile, asked: Asked) -> Upload:
        """Cancelled in the middle it does not leave a record that nobody knows of."""
        task = asyncio.ensure_future(self._threads.call(self._made, file, asked))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError as cancelled:
            await asyncio.wait([task])
            if task.exception() is None:
                await self.discard(task.result(), cancelled)
            raise

    def _made(self, file: LocalFile, asked: Asked) -> Upload:
        return self._api.create_upload(
            file.path.name,
            file.size,
            file.content_type,
            transport=asked.transport,
            profile=asked.profile,
            checksum=asked.checksum,
            fingerprint=file.fingerprint,
        )

    async def find(self, file: LocalFile, asked: Asked) -> Upload | None:
        """The newest one of this very file that is unfinished, or has arrived already."""
        return await self._threads.call(self._found, file, asked)

    def _found(self, file: LocalFile, asked: Asked) -> Upload | None:
        for record in self._api.uploads(fingerprint=file.fingerprint):
            if _fits(record, asked):
                return record
        return None

    async def discard(self, record: Upload, error: BaseException) -> None:
        """Deletes it, and with it what is at the store; whatever happens meanwhile."""
        await asyncio.shield(asyncio.ensure_future(self._discarded(record, error)))

    async def _discarded(self, record: Upload, error: BaseException) -> None:
        try:
            await self._threads.call(self._api.delete_upload, record.id)
        except ClientError as second:
            error.add_note(f"its record {record.id} could not be deleted: {second}")


def _fits(record: Upload, asked: Asked) -> bool:
    return (
        record.status in UNFINISHED | ARRIVED
        and asked.profile in (None, record.profile)
        and asked.checksum in (None, record.checksum)
    )
