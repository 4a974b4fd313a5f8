"""What is sealed opens here, at its place, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.sealing import Seal

KEY, OTHER, THIRD = ("k" * 32, "o" * 32, "t" * 32)
PURPOSE = "tests"
PLACE = b"uploadgate:grant:{pool:usr_ada}"
SECRET = b"secret" * 5


def seal(key: str = KEY, *previous: str, purpose: str = PURPOSE) -> Seal:
    return Seal(signing_key=key, previous_signing_keys=previous, purpose=purpose)


@given(st.binary(max_size=3000), st.binary(max_size=100))
def test_it_opens_with_the_same_key_at_the_same_place(data: bytes, place: bytes) -> None:
    closed = seal().close(data, place)
    assert seal().opened(closed, place) == data


def test_the_secret_is_not_in_it_and_it_is_never_twice_the_same() -> None:
    one, other = (seal().close(SECRET, PLACE) for _ in range(2))
    assert b"secret" not in one
    assert one[9:21] != other[9:21]
    assert one[:9] == other[:9]


def test_nothing_opens_at_another_place() -> None:
    assert seal().opened(seal().close(SECRET, PLACE), PLACE + b"x") is None


@pytest.mark.parametrize(
    "other", [seal(OTHER), seal(OTHER, THIRD), seal(KEY, purpose="others"), seal(KEY.upper())]
)
def test_nothing_opens_with_another_key(other: Seal) -> None:
    assert other.opened(seal().close(SECRET, PLACE), PLACE) is None


def test_a_previous_key_opens_what_it_sealed_and_seals_no_more() -> None:
    old, turned = seal(KEY), seal(OTHER, THIRD, KEY)
    assert turned.opened(old.close(SECRET, PLACE), PLACE) == SECRET
    fresh = turned.close(SECRET, PLACE)
    assert old.opened(fresh, PLACE) is None
    assert seal(OTHER).opened(fresh, PLACE) == SECRET


def test_a_changed_bit_anywhere_keeps_it_closed() -> None:
    closed = seal(KEY, OTHER).close(SECRET, PLACE)
    for place in range(len(closed)):
        changed = bytearray(closed)
        changed[place] ^= 1
        assert seal(KEY, OTHER).opened(bytes(changed), PLACE) is None


def test_what_is_cut_short_or_was_never_sealed_stays_closed() -> None:
    closed = seal().close(SECRET, PLACE)
    for length in range(len(closed)):
        assert seal().opened(closed[:length], PLACE) is None
    for text in (b"", b"\x01", b"plain text that nobody sealed"):
        assert seal().opened(text, PLACE) is None


def test_the_key_of_another_takes_no_head_of_its_own() -> None:
    """A head that names one key on what another sealed."""
    one, other = seal(KEY), seal(OTHER)
    mixed = one.close(SECRET, PLACE)[:9] + other.close(SECRET, PLACE)[9:]
    assert seal(KEY, OTHER).opened(mixed, PLACE) is None
