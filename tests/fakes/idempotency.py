"""Idempotency-Keys in memory, as strict as the database's."""

import math
from dataclasses import dataclass, replace
from datetime import datetime

from errors import IdempotencyInFlightError, IdempotencyKeyReusedError
from service.uploads.idempotency import Claim, Finished


@dataclass(frozen=True, slots=True)
class Key:
    holder: str
    digest: str
    lease_until: datetime
    created_at: datetime
    upload_id: str | None = None


class MemoryIdempotencyKeys:
    """Implements service.uploads.idempotency.IdempotencyKeys. MemoryRecords takes it, to finish
    claims with the records that it adds.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Key] = {}

    async def begin(
        self, claim: Claim, digest: str, now: datetime, *, lease_until: datetime
    ) -> Finished | None:
        row = self.rows.get((claim.user_id, claim.key))
        if row is not None and row.digest != digest:
            raise IdempotencyKeyReusedError
        if row is not None and row.upload_id is not None:
            return Finished(row.upload_id)
        if row is not None and row.lease_until > now:
            left = (row.lease_until - now).total_seconds()
            raise IdempotencyInFlightError(retry_after=max(1, math.ceil(left)))
        self.rows[claim.user_id, claim.key] = Key(claim.holder, digest, lease_until, now)
        return None

    async def finish(self, claim: Claim, upload_id: str) -> None:
        if self.holds(claim):
            self.finish_now(claim, upload_id)

    async def release(self, claim: Claim) -> None:
        if self.holds(claim):
            del self.rows[claim.user_id, claim.key]

    async def forget(self, before: datetime) -> int:
        old = [place for place, row in self.rows.items() if row.created_at < before]
        for place in old:
            del self.rows[place]
        return len(old)

    def holds(self, claim: Claim) -> bool:
        row = self.rows.get((claim.user_id, claim.key))
        return row is not None and (row.holder, row.upload_id) == (claim.holder, None)

    def finish_now(self, claim: Claim, upload_id: str) -> None:
        place = (claim.user_id, claim.key)
        self.rows[place] = replace(self.rows[place], upload_id=upload_id)
