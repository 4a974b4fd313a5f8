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
    assert await chore.forget() == 5 + 5 + 2
    assert outbox.forgot == [(START - KEEP, 0), (START - KEEP, 10), (START - KEEP, 20)]
    outbox.old = 1000
    assert await chore.forget() == 20
    assert outbox.forgot[3:] == [(START - KEEP, first) for first in (0, 10, 20, 30)]
