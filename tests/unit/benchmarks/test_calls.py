"""The counts by which a promise about the quota is judged."""

from benchmarks.calls import Calls


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_any_second_counts_not_just_those_of_the_clock() -> None:
    time = Time()
    calls = Calls(clock=time)
    for at in (100.9, 100.95, 101.1, 101.2, 101.95):
        time.now = at
        assert calls.came("usr_1", cap=None)
    assert calls.highest == 4
    assert calls.total == 5


def test_a_call_beyond_the_cap_is_refused_and_takes_nothing_from_it() -> None:
    time = Time()
    calls = Calls(clock=time)
    time.now = 100.0
    taken = [calls.came("usr_1", cap=2) for _ in range(3)]
    for at in (100.5, 100.999, 101.0):
        time.now = at
        taken.append(calls.came("usr_1", cap=2))
    assert taken == [True, True, False, False, False, True]
    assert calls.violations == 3
    assert calls.highest == 5


def test_calls_are_counted_by_user() -> None:
    calls = Calls()
    for user in ("usr_1", "usr_2", "usr_1", None):
        calls.came(user, cap=None)
    assert calls.told() == {
        "calls": 4,
        "users": 2,
        "per_user_max": 2,
        "highest": 4,
        "violations": 0,
    }
