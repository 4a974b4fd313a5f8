"""What an upload counts, in each of its states, and that nothing is counted for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.uploads.model import UploadStatus as S
from service.uploads.quota import charge, in_flight
from service.uploads.transitions import ENDED, IN_FLIGHT, NEXT
from tests.fakes.records import upload

SIZES = st.integers(0, 2**50)


@pytest.mark.parametrize("status", sorted(ENDED))
def test_what_has_ended_counts_nothing(status: S) -> None:
    for size in (None, 0, 7):
        assert charge(upload(charged=5), status, size) == 0


@pytest.mark.parametrize("status", [S.QUARANTINED, S.COMPLETED, S.REPLACED])
def test_what_is_at_the_store_counts_its_true_size(status: S) -> None:
    assert charge(upload(charged=5), status, 7) == 7
    assert charge(upload(charged=5), status, 0) == 0


@pytest.mark.parametrize("status", [S.UPLOADING, S.RECEIVED])
def test_what_is_not_yet_verified_counts_what_was_reserved(status: S) -> None:
    assert charge(upload(charged=5), status, 7) == 5


def test_only_what_a_client_may_still_send_is_in_flight() -> None:
    assert {status for status in S if in_flight(status)} == {S.PENDING, S.UPLOADING}


@given(st.data(), SIZES, SIZES)
def test_every_way_through_the_states_ends_with_what_is_at_the_store(
    data: st.DataObject, reserved: int, arrived: int
) -> None:
    record = upload(charged=reserved, status=S.PENDING)
    while record.status not in ENDED:
        following = data.draw(st.sampled_from(sorted(NEXT[record.status])))
        charged = charge(record, following, arrived)
        record = upload(charged=charged, status=following, size=arrived)
        if following in IN_FLIGHT | {S.RECEIVED}:
            assert charged == reserved
        else:
            assert charged == (0 if following in ENDED else arrived)
        if following is S.REPLACED:
            break  # may go on for ever
