import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.delivery.plan import Delivered, GiveUp, Retry, pause, what_follows
from service.delivery.ports import Answer, NoAnswer

DAY = 24 * 3600.0
PAUSES = (5.0, 300.0, 7200.0)

statuses = st.integers(100, 599)
wishes = st.none() | st.floats(0, 1e10)
jitters = st.floats(0, 1)
plans = st.lists(st.floats(0.001, DAY), min_size=1, max_size=10)
reasons = st.sampled_from(["timeout", "refused", "tls", "forbidden_address"])
failures = st.builds(Answer, statuses.filter(lambda s: not 200 <= s < 300 and s != 410), wishes)
silences = st.builds(NoAnswer, reasons)


@given(status=statuses, wish=wishes, attempts=st.integers(1, 20), jitter=jitters)
def test_any_2xx_and_nothing_else_is_success(
    status: int, wish: float | None, attempts: int, jitter: float
) -> None:
    answer = Answer(status, wish)
    follows = what_follows(answer, attempts=attempts, pauses=PAUSES, jitter=jitter)
    assert (follows == Delivered(status)) is (200 <= status <= 299)


@given(wish=wishes, attempts=st.integers(1, 20), jitter=jitters)
def test_gone_ends_it_at_once_and_says_so(wish: float | None, attempts: int, jitter: float) -> None:
    follows = what_follows(Answer(410, wish), attempts=attempts, pauses=PAUSES, jitter=jitter)
    assert follows == GiveUp("http_410", 410, gone=True)


@given(outcome=failures | silences, plan=plans, jitter=jitters)
def test_every_pause_of_the_plan_is_used_once_and_then_it_is_given_up(
    outcome: Answer | NoAnswer, plan: list[float], jitter: float
) -> None:
    for attempts in range(1, len(plan) + 1):
        follows = what_follows(outcome, attempts=attempts, pauses=plan, jitter=jitter)
        assert isinstance(follows, Retry)
        assert follows.seconds >= plan[attempts - 1]
    last = what_follows(outcome, attempts=len(plan) + 1, pauses=plan, jitter=jitter)
    assert isinstance(last, GiveUp)
    assert not last.gone


@given(planned=st.floats(0.001, DAY), wished=st.floats(0, 1e12), jitter=jitters)
def test_a_pause_is_neither_too_short_nor_without_end(
    planned: float, wished: float, jitter: float
) -> None:
    seconds = pause(planned, wished, jitter)
    longest = max(planned, min(wished, DAY))
    assert longest <= seconds <= longest * 1.2
    assert seconds <= DAY * 1.2


@given(planned=st.floats(1, DAY), jitter=st.tuples(jitters, jitters))
def test_jitter_spreads(planned: float, jitter: tuple[float, float]) -> None:
    less, more = sorted(jitter)
    assert pause(planned, 0, less) <= pause(planned, 0, more)
    assert pause(planned, 0, 1) == pytest.approx(planned * 1.2)


@pytest.mark.parametrize("status", [429, 503, 500, 302])
def test_a_receiver_that_asks_for_more_time_gets_it(status: int) -> None:
    def seconds(wish: float | None) -> float:
        follows = what_follows(Answer(status, wish), attempts=1, pauses=PAUSES, jitter=0)
        assert isinstance(follows, Retry)
        assert (follows.error, follows.status) == (f"http_{status}", status)
        return follows.seconds

    assert [seconds(wish) for wish in (None, 1, 60, 1e9)] == [5, 5, 60, DAY]


def test_what_cannot_succeed_as_things_are_is_not_tried_again() -> None:
    silence = NoAnswer("forbidden_url", final=True)
    follows = what_follows(silence, attempts=1, pauses=PAUSES, jitter=0)
    assert follows == GiveUp("forbidden_url", None)
    again = what_follows(NoAnswer("timeout"), attempts=2, pauses=PAUSES, jitter=0)
    assert again == Retry(300, "timeout", None)
