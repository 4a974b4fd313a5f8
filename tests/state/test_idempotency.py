"""What is asked twice under one key happens once, on every database and in memory."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from errors import (
    IdempotencyInFlightError,
    IdempotencyKeyReusedError,
    QuotaExceededError,
    UnavailableError,
)
from service.uploads.idempotency import Claim, Finished, IdempotencyKeys
from service.uploads.ports import UploadRecords
from service.uploads.quota import Limits, Usage
from state.database import Database
from state.idempotency import SqlIdempotencyKeys
from state.uploads import SqlUploadRecords
from tests.fakes.clock import START
from tests.fakes.idempotency import MemoryIdempotencyKeys
from tests.fakes.records import MemoryRecords, upload

LEASE = timedelta(seconds=60)
Kept = tuple[IdempotencyKeys, UploadRecords]


@pytest.fixture(params=["database", "memory"])
def kept(request: pytest.FixtureRequest) -> Kept:
    if request.param == "memory":
        keys = MemoryIdempotencyKeys()
        return keys, MemoryRecords(keys=keys)
    database: Database = request.getfixturevalue("database")
    return SqlIdempotencyKeys(database), SqlUploadRecords(database)
