"""Attempts that were begun and cut short are none of the receiver's."""

import pytest

from service.delivery.attempt import Courier
from service.delivery.ports import Answer
from tests.fakes.clock import START, Clock
from tests.fakes.outbox import MemoryOutbox, ScriptedSender, delivery


@pytest.mark.parametrize(("failures", "waits"), [(0, 5.0), (1, 300.0), (2, None)])
async def test_the_plan_goes_by_what_is_known_to_have_failed(
    failures: int, waits: float | None
) -> None:
    """Ten claims that crashes have ended count for nothing; the receiver's own refusals do."""
    outbox = MemoryOutbox(given := delivery(1, attempts=11, failures=failures))
    outbox.rows[1].leased_by = "w"
    courier = Courier(
        outbox=outbox,
        sender=ScriptedSender({"a": Answer(503)}),
        retry_seconds=(5.0, 300.0),
        worker="w",
        clock=Clock(),
        world=Clock(),
    )
    await courier.make(given)
    row = outbox.rows[1]
    assert (row.done_at is None) is (waits is not None)
    if waits is not None:
        assert waits <= (row.due_at - START).total_seconds() <= waits * 1.2
        assert row.delivery.failures == failures + 1
