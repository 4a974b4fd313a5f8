"""Whatever is done in whatever order, a user's usage is the sum over the records: random histories,
told to the database and to the records in memory, which must answer alike.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, select

from errors import UploadgateError
from service.uploads.model import Upload, UploadStatus
from service.uploads.quota import Limits, Usage, in_flight
from service.uploads.transitions import NEXT
from state import schema, tables
from state.database import Database
from state.uploads import SqlUploadRecords
from tests.fakes.clock import START
from tests.fakes.records import MemoryRecords, upload

SIZES = st.integers(0, 20)
LIMITS = st.builds(Limits, st.none() | st.integers(0, 60), st.none() | st.integers(0, 3))
PLACES = st.sampled_from([(user, profile) for user in ("ada", "eve") for profile in "pq"])
BEGINNINGS = st.sampled_from([UploadStatus.PENDING, UploadStatus.RECEIVED])


class Histories(RuleBasedStateMachine):
    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self.runner = runner
        self.database = database
        self.records = SqlUploadRecords(database)
        self.memory = MemoryRecords()
        self.seen: list[Upload] = []  # all that was ever shown, so that some of it is stale
        self.runner.run(self._clear())

    async def _clear(self) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(delete(tables.uploads))
            await connection.execute(delete(tables.usage))

    def told(self, *calls: Awaitable[Any]) -> Any:
        """What both answer or raise."""
        here, there = [self.runner.run(self._answer(call)) for call in calls]
        assert here == there
        return here

    async def _answer(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except (UploadgateError, ValueError) as error:
            return type(error), str(error)

    @rule(place=PLACES, status=BEGINNINGS, charged=SIZES, limits=LIMITS, key=st.integers(0, 50))
    def add(
        self, place: tuple[str, str], status: UploadStatus, charged: int, limits: Limits, key: int
    ) -> None:
        user, profile = place
        row = upload(
            id=str(len(self.seen)),
            key=str(key),
            user_id=user,
            profile=profile,
            status=status,
            charged=charged,
        )
        added = self.told(self.records.add(row, limits=limits), self.memory.add(row, limits=limits))
        if added is True:
            self.seen.append(row)

    @rule(data=st.data(), size=st.none() | SIZES, etag=st.sampled_from("ab"), limits=LIMITS)
    def move(self, data: st.DataObject, size: int | None, etag: str, limits: Limits) -> None:
        if not self.seen:
            return
        seen = data.draw(st.sampled_from(self.seen))
        status = data.draw(st.sampled_from(sorted(NEXT[seen.status]) or [UploadStatus.COMPLETED]))
        changes = {"etag": etag} if size is None else {"etag": etag, "size": size}
        moved = self.told(
            self.records.transition(seen, status, START, limits=limits, **changes),
            self.memory.transition(seen, status, START, limits=limits, **changes),
        )
        if isinstance(moved, Upload):
            self.seen.append(moved)

    @rule(data=st.data(), multipart_id=st.none() | st.sampled_from("xy"))
    def amend(self, data: st.DataObject, multipart_id: str | None) -> None:
        if not self.seen:
            return
        seen = data.draw(st.sampled_from(self.seen))
        amended = self.told(
            self.records.amend(seen, START, multipart_id=multipart_id),
            self.memory.amend(seen, START, multipart_id=multipart_id),
        )
        if isinstance(amended, Upload):
            self.seen.append(amended)

    @invariant()
    def usage_is_the_sum_over_the_records(self) -> None:
        assert self.runner.run(self._counted()) == self._summed()

    async def _counted(self) -> dict[tuple[str, str], Usage]:
        async with self.database.transaction() as connection:
            found = await connection.execute(select(tables.usage))
            counted = {(row.user_id, row.profile): Usage(row.bytes, row.in_flight) for row in found}
        return {place: usage for place, usage in counted.items() if usage != Usage()}

    def _summed(self) -> dict[tuple[str, str], Usage]:
        summed: dict[tuple[str, str], Usage] = {}
        for row in self.memory.rows.values():
            before = summed.get((row.user_id, row.profile), Usage())
            summed[row.user_id, row.profile] = Usage(
                before.bytes + row.charged, before.in_flight + in_flight(row.status)
            )
        return {place: usage for place, usage in summed.items() if usage != Usage()}


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    # A loop of its own, which is not made the thread's: that one is the session's.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner


def test_usage_is_the_sum_over_the_records(runner: asyncio.Runner, database_url: str) -> None:
    opened = Database.opened(database_url)
    database = runner.run(opened.__aenter__())

    class Here(Histories):
        def __init__(self) -> None:
            super().__init__(runner, database)

    try:
        runner.run(schema.upgrade(database))
        run_state_machine_as_test(
            Here,
            settings=settings(
                max_examples=30,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        runner.run(opened.__aexit__(None, None, None))
