"""Idempotency-Key: a creation or completion that is sent twice happens once.

A key is the user's own. The first request under it holds a lease; whoever comes meanwhile is told
to wait, and once the lease is over (its replica has died) the next one takes it over. What is
kept is the upload's id, never an answer: presigned addresses are made anew for each.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Claim:
    """One request's hold on a key. `holder` is new for every request."""

    user_id: str
    key: str
    holder: str


@dataclass(frozen=True, slots=True)
class Finished:
    """An earlier request under this key came to this upload."""

    upload_id: str


class IdempotencyKeys(Protocol):
    """Raises UnavailableError."""

    async def begin(
        self, claim: Claim, digest: str, now: datetime, *, lease_until: datetime
    ) -> Finished | None:
        """None: the claim is held until then. Raises IdempotencyKeyReusedError for another
        digest, IdempotencyInFlightError while another claim holds the key.
        """
        ...

    async def finish(self, claim: Claim, upload_id: str) -> None:
        """Nothing is written when the claim has passed to another holder."""
        ...

    async def release(self, claim: Claim) -> None:
        """The request failed and changed nothing: the key is free again."""
        ...

    async def forget(self, before: datetime) -> int:
        """Deletes keys begun before then; how many."""
        ...


def digest(*parts: str) -> str:
    """What the request asks, in a fixed length."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
