"""What was done is counted, and how long and with how much memory."""

import pytest

from benchmarks.cases import million_rows
from benchmarks.millions.reads import Reads
from benchmarks.millions.work import Work, worked


async def test_work_goes_on_until_nothing_is_left() -> None:
    left = [10, 10, 5, 0, 10]

    async def call() -> int:
        return left.pop(0)

    work = await worked(call)
    assert work.rows == 25
    assert len(work.seconds) == len(work.memory) == 3
    assert left == [10]


async def test_work_is_bounded() -> None:
    async def call() -> int:
        return 10

    assert (await worked(call, most=15)).rows == 20


async def test_work_that_was_none_is_a_fault() -> None:
    async def nothing() -> int:
        return 0

    with pytest.raises(RuntimeError, match="nothing to do"):
        await worked(nothing)


def test_growth_is_from_the_first_tenth_to_the_end() -> None:
    work = Work(20, [0.5] * 20, [10.0, 40.0, *[41.0] * 17, 43.0])
    figure = work.figure("uploads", Reads(rows=60, in_sequence=7))
    assert work.growth == 3.0
    assert figure.value == 2.0
    assert figure.more["read_each"] == 3.0
    memory, read = million_rows.targets([figure])
    assert memory.met
    assert not read.met
