"""Places for streams, and who is woken."""

from contextlib import ExitStack

import pytest

from errors import OverloadedError, TooManyStreamsError, UnavailableError
from service.delivery.hub import EndReason, Hub
from tests.unit.delivery.listeners import Counting


def hub(streams: int = 10, per_user: int = 10) -> Hub:
    return Hub(max_streams=streams, max_per_user=per_user)


def test_news_of_one_user_wakes_all_their_streams_and_no_other() -> None:
    made = hub()
    first, second, other = Counting(), Counting(), Counting()
    with made.holding("ada", first), made.holding("ada", second), made.holding("eve", other):
        made.wake("ada")
        made.wake("nobody")
        assert [each.woken for each in (first, second, other)] == [1, 1, 0]
        made.wake_all()
        assert [each.woken for each in (first, second, other)] == [2, 2, 1]
    made.wake("ada")
    assert first.woken == 2


def test_one_user_gets_so_many_streams_and_others_still_get_theirs() -> None:
    made = hub(per_user=2)
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(made.holding("ada", Counting()))
        with pytest.raises(TooManyStreamsError) as refused, made.holding("ada", Counting()):
            pass
        assert refused.value.retry_after == 10
        held.enter_context(made.holding("eve", Counting()))
        assert len(made) == 3
    with made.holding("ada", Counting()):
        assert len(made) == 1


def test_a_replica_gets_so_many_streams() -> None:
    made = hub(streams=2)
    with made.holding("ada", Counting()), made.holding("eve", Counting()):
        with pytest.raises(OverloadedError), made.holding("zoe", Counting()):
            pass
        assert len(made) == 2


def test_a_place_is_given_back_after_a_failure_and_nothing_is_kept_of_its_user() -> None:
    made = hub(streams=1)
    for _ in range(3):
        with pytest.raises(RuntimeError), made.holding("ada", Counting()):
            raise RuntimeError
    assert len(made) == 0
    assert made._open == {}


def test_a_replica_that_goes_ends_its_streams_and_takes_no_more() -> None:
    made = hub()
    first, second = Counting(), Counting()
    with made.holding("ada", first), made.holding("eve", second):
        made.close()
        assert first.ended == second.ended == [EndReason.SERVER_GOING]
    with pytest.raises(UnavailableError), made.holding("ada", Counting()):
        pass
