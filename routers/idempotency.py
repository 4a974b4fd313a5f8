"""The Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header)."""

from typing import Annotated

from fastapi import Header
from pydantic import StringConstraints

import errors

IdempotencyKey = Annotated[
    Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]
    | None,
    Header(
        alias="Idempotency-Key",
        description="Chosen by the client, new for every intention: a request that is sent again "
        "under its key happens once. The same key with another request is 422.",
        examples=["1b2f9a4e-6a1b-4a39-9b3e-2f7f5f0e8c11"],
    ),
]
"""Optional; of the caller's own."""

FAILURES = (errors.IdempotencyKeyReusedError, errors.IdempotencyInFlightError)
