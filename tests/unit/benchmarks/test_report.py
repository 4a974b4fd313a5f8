"""The table: what was found stands in it, and what was missed is said."""

from pathlib import Path

from benchmarks import __main__ as bench
from benchmarks import report
from benchmarks.record import Section, Target
from benchmarks.rounds import Rounds


def section() -> Section:
    rounds = Rounds("warm grant", "requests/s")
    for ours, theirs in ((900.0, 1000.0), (600.0, 500.0), (1100.0, 1000.0)):
        rounds.add("ours", ours, p99_ms=ours / 100, answers="all")
        rounds.add("theirs", theirs)
    return Section(
        name="warm",
        figures=rounds.figures(),
        targets=[
            *rounds.at_least(1.0, "ours", "theirs"),
            *rounds.at_least(1.5, "ours", "theirs"),
            *rounds.at_least(1.0, "ours", "absent"),
            Target(case="warm grant", against="a bound", found=99, most=100, unit="ms"),
        ],
        notes=["as users run it."],
        versions={"python": "3"},
    )


def test_a_ratio_is_the_median_of_the_rounds_and_an_absent_peer_promises_nothing() -> None:
    found = section()
    assert [target.found for target in found.targets] == [1.1, 1.1, 99]
    assert found.figures[0].value == 900
    assert found.figures[0].more == {"p99_ms": 9.0, "answers": "all"}


def test_what_is_counted_does_not_hide_in_a_median() -> None:
    rounds = Rounds("webhooks", "webhooks/s", summed=("failures",))
    for failures in (0, 3, 0):
        rounds.add("ours", 1.0, failures=failures, p99_ms=failures)
    assert rounds.figures()[0].more == {"failures": 3, "p99_ms": 0}


def test_the_table_says_what_was_met() -> None:
    rows = report.table([section()]).splitlines()
    assert rows[2] == "| warm grant | ours | 900 requests/s |  |  |  |"
    assert rows[4] == "| warm grant | uploadgate | 1.1 times | theirs | ≥ 1 | yes |"
    assert rows[5] == "| warm grant | uploadgate | 1.1 times | theirs | ≥ 1.5 | **no** |"
    assert rows[6] == "| warm grant | uploadgate | 99 ms | a bound | ≤ 100 | yes |"
    assert report.verdict([section()]).startswith("1 targets are MISSED")


def test_what_could_not_be_measured_stands_on_the_page() -> None:
    page = bench.page([section()], {"burst": "it died"}, rounds=3)
    assert "burst could not be measured" in page
    assert "as users run it." in page


async def test_a_case_that_dies_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    found = await bench.measured("no_such_case", 1, tmp_path)
    assert isinstance(found, str)
    assert "No module named" in found


def test_every_case_is_found() -> None:
    grants = {"warm_grant", "cold_grant", "burst", "capped", "breaker"}
    assert grants | {"webhooks", "completions", "million_rows"} <= set(bench.names())
