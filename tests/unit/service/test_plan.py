"""Equal parts for every size that an object can have."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.uploads.plan import (
    LARGEST_OBJECT,
    LARGEST_PART,
    LARGEST_PUT,
    MIB,
    MOST_PARTS,
    SMALLEST_PART,
    Plan,
    plan,
)

GIB = 1024 * MIB
# Dense where a plan turns into another one.
edges = [0, 8 * MIB, LARGEST_PUT, MOST_PARTS * 8 * MIB, MOST_PARTS * 5 * MIB, LARGEST_OBJECT]
sizes = st.one_of(
    st.integers(0, LARGEST_OBJECT),
    st.integers(0, 100 * GIB),
    st.builds(
        lambda edge, more: min(max(edge + more, 0), LARGEST_OBJECT),
        st.sampled_from(edges),
        st.integers(-2, 2),
    ),
)
wishes = st.integers(SMALLEST_PART, LARGEST_PART)
thresholds = st.integers(0, LARGEST_PUT)


@given(sizes, wishes, thresholds)
@example(LARGEST_OBJECT, SMALLEST_PART, 0)
@example(LARGEST_OBJECT, LARGEST_PART, LARGEST_PUT)
@example(1, SMALLEST_PART, 0)
@example(MOST_PARTS * SMALLEST_PART, SMALLEST_PART, 0)
@example(MOST_PARTS * SMALLEST_PART + 1, SMALLEST_PART, 0)
def test_every_plan_is_one_that_s3_takes(size: int, wished: int, threshold: int) -> None:
    made = plan(size, part_size=wished, threshold=threshold)
    if made is None:
        assert size <= threshold
        return
    assert size > threshold
    assert SMALLEST_PART <= made.part_size <= LARGEST_PART
    assert 1 <= made.part_count <= MOST_PARTS
    assert made.size == size
    # All equal but the last one, which holds a byte at least.
    last = made.length(made.part_count)
    assert 1 <= last <= made.part_size
    assert (made.part_count - 1) * made.part_size + last == size


@given(st.integers(1, 200 * SMALLEST_PART), st.integers(SMALLEST_PART, 2 * SMALLEST_PART))
def test_parts_follow_one_another_without_gap_to_the_end(size: int, wished: int) -> None:
    made = plan(size, part_size=wished, threshold=0)
    assert made is not None
    reached = 0
    for number in range(1, made.part_count + 1):
        assert made.offset(number) == reached
        reached += made.length(number)
    assert reached == size


@given(sizes, wishes)
def test_parts_are_as_large_as_wished_where_10_000_of_them_do(size: int, wished: int) -> None:
    made = plan(size, part_size=wished, threshold=0)
    if made is None:
        assert size == 0
    elif size <= wished * MOST_PARTS:
        assert made.part_size == wished
    else:
        assert made.part_size > wished
        assert made.part_size % MIB == 0
        # And no more than the next whole MiB.
        assert (made.part_size - MIB) * MOST_PARTS < size


@pytest.mark.parametrize(
    ("size", "threshold", "parts"),
    [
        (0, 0, None),
        (1, 0, 1),
        (8 * MIB, 8 * MIB, None),
        (8 * MIB + 1, 8 * MIB, 2),
        (LARGEST_PUT, LARGEST_PUT, None),
        (LARGEST_PUT + 1, LARGEST_PUT, 641),
        # No store takes more in one PUT, whatever the threshold says.
        (LARGEST_PUT + 1, LARGEST_OBJECT, 641),
        (LARGEST_OBJECT, 8 * MIB, MOST_PARTS),
    ],
)
def test_one_put_up_to_the_threshold_and_parts_beyond(
    size: int, threshold: int, parts: int | None
) -> None:
    made = plan(size, part_size=8 * MIB, threshold=threshold)
    assert (made and made.part_count) == parts


@pytest.mark.parametrize("size", [-1, LARGEST_OBJECT + 1, 2**63])
def test_no_object_has_such_a_size(size: int) -> None:
    with pytest.raises(ValueError, match=r"48\.8 TiB"):
        plan(size, part_size=8 * MIB, threshold=8 * MIB)


@pytest.mark.parametrize("number", [0, -1, 4, 10_001])
def test_a_plan_has_no_other_parts(number: int) -> None:
    with pytest.raises(ValueError, match="no such part"):
        Plan(25, 10, 3).length(number)
