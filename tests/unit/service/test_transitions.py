import itertools

import pytest

from service.uploads.model import UploadStatus as S
from service.uploads.transitions import ARRIVED, ENDED, IN_FLIGHT, NEXT, allowed

EVERY = [(before, after) for before in S for after in S]
FOUND = {S.RECEIVED, S.QUARANTINED, S.COMPLETED, S.REJECTED}
ALLOWED = {
    S.PENDING: {S.UPLOADING, *FOUND, S.ABORTED, S.EXPIRED},
    S.UPLOADING: {*FOUND, S.ABORTED, S.EXPIRED},
    S.RECEIVED: {S.QUARANTINED, S.COMPLETED, S.REJECTED, S.ABORTED},
    S.QUARANTINED: {S.COMPLETED, S.REPLACED, S.REJECTED, S.DELETED},
    S.COMPLETED: {S.QUARANTINED, S.REPLACED, S.REJECTED, S.DELETED},
    S.REPLACED: {S.QUARANTINED, S.REPLACED, S.REJECTED, S.DELETED},
}


@pytest.mark.parametrize(("before", "after"), EVERY)
def test_only_these_moves_are_allowed(before: S, after: S) -> None:
    assert allowed(before, after) is (after in ALLOWED.get(before, set()))


def test_the_table_knows_every_state() -> None:
    assert set(NEXT) == set(S)


@pytest.mark.parametrize("status", S)
def test_nothing_follows_an_ended_state_and_something_every_other(status: S) -> None:
    assert (not NEXT[status]) is (status in ENDED)


def sources_of(after: S) -> set[S]:
    return {before for before in S if allowed(before, after)}


@pytest.mark.parametrize("status", [S.ABORTED, S.EXPIRED, S.REJECTED, S.DELETED])
def test_an_end_is_reached_from_a_state_in_which_it_makes_sense(status: S) -> None:
    assert sources_of(status) <= set(S) - ENDED
    if status is S.EXPIRED:
        assert sources_of(status) == IN_FLIGHT


def test_a_state_is_in_one_class_at_most() -> None:
    for one, other in itertools.combinations((ENDED, IN_FLIGHT, ARRIVED), 2):
        assert one.isdisjoint(other)
