import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.parts import (
    LARGEST_OBJECT,
    LARGEST_PART,
    MIB,
    MOST_PARTS,
    SMALLEST_PART,
    part_count,
    part_size,
)


@given(st.integers(0, LARGEST_OBJECT))
def test_every_plan_keeps_to_the_limits_of_s3(size: int) -> None:
    part = part_size(size)
    assert SMALLEST_PART <= part <= LARGEST_PART
    assert part % MIB == 0
    assert 1 <= part_count(size) <= MOST_PARTS
    assert part_count(size) * part >= size


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (0, 1),
        (SMALLEST_PART, 1),
        (SMALLEST_PART + 1, 2),
        (SMALLEST_PART * MOST_PARTS, MOST_PARTS),
        (LARGEST_OBJECT, MOST_PARTS),
    ],
)
def test_the_edges(size: int, parts: int) -> None:
    assert part_count(size) == parts


@pytest.mark.parametrize("size", [-1, LARGEST_OBJECT + 1])
def test_what_s3_cannot_store_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="48\\.8 TiB"):
        part_size(size)
