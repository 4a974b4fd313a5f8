from datetime import timedelta

import pytest

from service.delivery import retention
from service.delivery.retention import Retention
from tests.fakes.clock import START, Clock
from tests.fakes.outbox import MemoryOutbox

KEEP = timedelta(days=30)


async def test_old_events_go_in_batches_and_the_rest_waits_for_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 10)
    monkeypatch.setattr(retention, "_MOST_BATCHES", 4)
    outbox = MemoryOutbox()
    chore = Retention(outbox, keep=KEEP, clock=Clock())
    outbox.old = 25
    assert await chore.forget() == 25
    assert outbox.forgot == [(START - KEEP, 10), (START - KEEP, 10), (START - KEEP, 5)]
    outbox.old = 1000
    assert await chore.forget() == 40
    assert outbox.old == 960
