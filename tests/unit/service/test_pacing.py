"""An even rate: what is promised of it, for whatever calls come when."""

import asyncio
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import CognitoThrottledError, RateLimit, UnavailableError
from service.grants.fleet_rate import FleetRate
from service.grants.pacing import LONGEST, Answer, MemoryTurns, Pace

ROUNDING = 1e-6
PACES = st.builds(
    Pace, calls_per_second=st.sampled_from([0.3, 1, 7, 50, 800]), share=st.sampled_from([0.9, 1])
)
# How long after the one before, how long it would wait, and whether in the background.
CALLS = st.lists(
    st.tuples(st.floats(0, 0.5), st.sampled_from([0.0, 0.05, 2.0]), st.booleans()), max_size=60
)
Call = tuple[float, float, bool]


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def played(pace: Pace, calls: list[Call]) -> list[tuple[float, float, Answer]]:
    """When each came, how long it would have waited, and its answer."""
    free_at, now, found = -math.inf, 1000.0, []
    for pause, within, background in calls:
        now += pause
        bound = 0.0 if background else within
        idle = pace.spacing if background else 0.0
        answer, after = pace.asked(free_at, now, within=bound, idle=idle)
        assert answer.taken or after == free_at
        free_at = after
        found.append((now, bound, answer))
    return found


def turns_of(pace: Pace, calls: list[Call]) -> list[float]:
    return [now + answer.wait for now, _, answer in played(pace, calls) if answer.taken]


@given(PACES, CALLS)
def test_no_second_holds_more_than_the_quota(pace: Pace, calls: list[Call]) -> None:
    turns = turns_of(pace, calls)
    for start in turns:
        within = [turn for turn in turns if start <= turn < start + 1 - ROUNDING]
        assert len(within) <= math.ceil(pace.calls_per_second * pace.share)


@given(PACES, CALLS)
def test_turns_are_evenly_spaced(pace: Pace, calls: list[Call]) -> None:
    turns = turns_of(pace, calls)
    for one, next_one in itertools.pairwise(turns):
        assert next_one - one >= pace.spacing - ROUNDING


@given(PACES, CALLS)
def test_no_turn_comes_later_than_the_caller_would_wait(pace: Pace, calls: list[Call]) -> None:
    for _, within, answer in played(pace, calls):
        assert answer.taken == (answer.wait <= within)


@given(PACES, CALLS)
def test_a_refused_call_finds_a_turn_once_it_has_waited(pace: Pace, calls: list[Call]) -> None:
    answers = played(pace, calls)
    if answers and not answers[-1][2].taken:
        _, within, answer = answers[-1]
        again = (answer.wait - within + ROUNDING, *calls[-1][1:])
        assert played(pace, [*calls, again])[-1][2].taken


@given(PACES, CALLS)
def test_the_background_delays_nobody_by_more_than_one_turn(pace: Pace, calls: list[Call]) -> None:
    patient = [(pause, LONGEST, background) for pause, _, background in calls]
    with_it = played(pace, patient)
    alone: list[Call] = []
    since, places = 0.0, []
    for place, (pause, within, background) in enumerate(patient):
        since += pause
        if not background:
            alone.append((since, within, background))
            since = 0.0
            places.append(place)
    for place, (_, _, answer) in zip(places, played(pace, alone), strict=True):
        assert with_it[place][2].wait <= answer.wait + pace.spacing + ROUNDING


@given(PACES)
def test_the_background_alone_uses_half_of_the_rate(pace: Pace) -> None:
    calls = [(pace.spacing / 4, 0.0, True)] * 80
    assert 9 <= len(turns_of(pace, calls)) <= 11


def test_a_clock_that_was_set_back_keeps_nobody_out() -> None:
    pace = Pace(10)
    answer, free_at = pace.asked(5000, 1000, within=0, idle=0)
    assert answer == Answer(taken=True, wait=0)
    assert free_at == pytest.approx(1000.1)


@pytest.mark.parametrize(
    ("quota", "seconds", "said"),
    [(50, 0.1, (50, 1, 1)), (50.5, 2.5, (50, 1, 3)), (0.3, 3.1, (1, 4, 4)), (1, 0, (1, 1, 1))],
)
def test_a_refusal_says_what_the_bound_is_and_when_to_come_back(
    quota: float, seconds: float, said: tuple[int, int, int]
) -> None:
    error = Pace(quota, 0.9, name="cognito").refusal(seconds)
    assert error.rate_limit == RateLimit("cognito", said[0], said[1], remaining=0, reset=said[2])
    assert error.retry_after == said[2]


class Asked(MemoryTurns):
    """Counts the questions, which can be held up, and can fail."""

    def __init__(self, pace: Pace, clock: Seconds) -> None:
        super().__init__(pace, clock)
        self.questions = 0
        self.open = asyncio.Event()
        self.open.set()
        self.failing = False

    async def take(self, *, within: float, idle: float) -> Answer:
        self.questions += 1
        await self.open.wait()
        if self.failing:
            raise UnavailableError
        return await super().take(within=within, idle=idle)


class House:
    def __init__(self, pace: Pace | None = None) -> None:
        self.pace = pace or Pace(10)
        self.clock = Seconds()
        self.turns = Asked(self.pace, self.clock)
        self.rate = self.replica()

    def replica(self) -> FleetRate:
        return FleetRate(self.turns, self.pace, self.clock)


async def test_turns_are_given_one_after_the_other() -> None:
    house = House()
    waits = [await house.rate.turn(within=1.05) for _ in range(11)]
    assert waits == pytest.approx([number / 10 for number in range(11)])
    with pytest.raises(CognitoThrottledError) as raised:
        await house.rate.turn(within=1.05)
    assert raised.value.retry_after == 1


async def test_of_thousands_at_once_only_those_ask_who_may_get_a_turn() -> None:
    house = House()
    results = await asyncio.gather(
        *(house.rate.turn(within=1.05) for _ in range(3000)), return_exceptions=True
    )
    assert sum(isinstance(each, float) for each in results) == 11
    assert {type(each) for each in results} == {float, CognitoThrottledError}
    assert house.turns.questions <= 15


async def test_what_another_replica_took_is_learnt_by_one_question() -> None:
    house = House()
    other = house.replica()
    while True:
        try:
            await house.rate.turn(within=1.05)
        except CognitoThrottledError:
            break
    asked = house.turns.questions
    for _ in range(5):
        with pytest.raises(CognitoThrottledError):
            await other.turn(within=1.05)
    assert house.turns.questions == asked + 1
    house.clock.now += 0.11
    assert await other.turn(within=1.05) == pytest.approx(0.99)


async def test_who_waits_longer_is_not_refused_by_what_others_were_told() -> None:
    house = House()
    for _ in range(3):
        await house.rate.turn(within=1)
    with pytest.raises(CognitoThrottledError):
        await house.rate.turn(within=0)
    assert await house.rate.turn(within=1) == pytest.approx(0.3)


async def test_the_background_has_what_is_left() -> None:
    house = House()
    assert await house.rate.turn(within=0, background=True) == 0
    for seconds in (0, 0.1, 0.09):
        house.clock.now += seconds
        with pytest.raises(CognitoThrottledError):
            await house.rate.turn(within=5, background=True)
    house.clock.now += 0.02
    assert await house.rate.turn(within=5, background=True) == 0
    assert await house.rate.turn(within=5) == pytest.approx(0.1)


async def test_while_others_still_ask_nobody_comes_in_the_background() -> None:
    house = House()
    house.turns.open.clear()
    asking = [asyncio.create_task(house.rate.turn(within=1)) for _ in range(8)]
    await asyncio.sleep(0)
    with pytest.raises(CognitoThrottledError):
        await house.rate.turn(within=1, background=True)
    house.turns.open.set()
    assert sorted(await asyncio.gather(*asking)) == pytest.approx([n / 10 for n in range(8)])


async def test_who_has_queued_too_long_is_refused_unasked() -> None:
    house = House()
    house.turns.open.clear()
    asking = [asyncio.create_task(house.rate.turn(within=1)) for _ in range(10)]
    await asyncio.sleep(0)
    house.clock.now += 2
    house.turns.failing = True
    house.turns.open.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in results] == [UnavailableError] * 4 + [CognitoThrottledError] * 6
    assert house.turns.questions == 4


async def test_a_failure_takes_nothing_and_is_not_remembered() -> None:
    house = House()
    house.turns.failing = True
    with pytest.raises(UnavailableError):
        await house.rate.turn(within=1)
    house.turns.failing = False
    assert await house.rate.turn(within=1) == 0
