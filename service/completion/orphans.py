"""Multiparts that nobody will complete: stock clients begin them and go away.

Each costs its parts' storage until somebody aborts it, and no quota counts them. The bucket may
be others' too: what is in no user's folder and of no record is left alone.
"""

from datetime import datetime, timedelta

import structlog

from errors import UploadgateError
from service.clock import Clock
from service.completion.ports import Owners
from service.uploads.model import Upload, UploadStatus
from service.uploads.ports import ListedMultipart, MultipartMarker, Multiparts, UploadRecords
from service.uploads.transitions import IN_FLIGHT

_log = structlog.get_logger("uploadgate.orphans")
_TAKES_PARTS = IN_FLIGHT | {UploadStatus.RECEIVED}


class Orphans:
    """Walks through the bucket a page a step. Safe on many replicas at once."""

    def __init__(
        self,
        *,
        records: UploadRecords,
        multiparts: Multiparts,
        owners: Owners,
        bucket: str,
        orphan_age: timedelta,
        clock: Clock,
    ) -> None:
        """`orphan_age`: younger ones may still be sent to by clients that have no record."""
        self._records = records
        self._multiparts = multiparts
        self._owners = owners
        self._bucket = bucket
        self._age = orphan_age
        self._clock = clock
        self._after: MultipartMarker | None = None

    async def step(self) -> int:
        """One page. 1 while the walk goes on, 0 at its end: the next step begins a new one. Raises
        StoreUnavailableError or StoreRefusedError for a page that cannot be had; the next step
        tries that page again.
        """
        page = await self._multiparts.page(self._bucket, self._after)
        for listed in page.items:
            await self._judged(listed)
        self._after = page.following
        return 0 if page.following is None else 1

    async def _judged(self, listed: ListedMultipart) -> None:
        """One that cannot be aborted now is met again on the next walk; it does not end this."""
        try:
            if await self._is_orphan(listed):
                await self._multiparts.abort(self._bucket, listed.key, listed.multipart_id)
                _log.info("orphan.aborted", key=listed.key, initiated=listed.initiated.isoformat())
        except UploadgateError as error:
            _log.warning("orphan.not_aborted", key=listed.key, cause=error.code)
        except Exception:  # noqa: BLE001 - see below
            # A fault of ours must cost this one its turn, never the walk.
            _log.exception("orphan.not_aborted", key=listed.key)

    async def _is_orphan(self, listed: ListedMultipart) -> bool:
        now = self._clock()
        if listed.initiated > now - self._age:
            return False
        record = await self._records.by_key(self._bucket, listed.key)
        if record is not None:
            return not _may_still_come(record, now)
        return await self._owners.owner_of(listed.key) is not None


def _may_still_come(record: Upload, now: datetime) -> bool:
    """By the record's own multipart, or by a stock client's at its key."""
    return record.status in _TAKES_PARTS and record.expires_at > now
