"""What `make torture` says of itself and of what it found."""

import pytest

from torture import options, result
from torture.audit import Findings
from torture.repertoire import repertoire
from torture.result import Result

KNOWN = repertoire(100, 60)


def _result(scenario: str, lost: int = 0, drift: int = 0) -> Result:
    return Result(scenario, 3, Findings(acknowledged=5, lost=lost, drift=drift), 1.0)


def test_the_help_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options.chosen(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for name in KNOWN:
        assert f"\n  {name} " in told
    assert "--away SECONDS" in told
    assert "how long the database is away" in told


def test_scenarios_are_chosen_by_name() -> None:
    assert len(options.chosen(["kills", "--rounds", "2", "garbage"])) == 3
    assert len(options.chosen(["database", "--away", "0.5"])) == 3


@pytest.mark.parametrize("server", ["/usr/bin/valkey-server", None])
def test_without_a_valkey_the_rest_is_gone_through(
    server: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(options, "SERVER", server)
    every = sum(len(chapter.scenarios) for chapter in KNOWN.values())
    assert len(options.chosen([])) == every - (server is None)
    assert ("left out" in capsys.readouterr().err) is (server is None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["kill"], "there are order, kills"),
        (["--rounds", "0"], "0 is no number of rounds"),
        (["--rounds", "many"], "many is no number of rounds"),
        (["--away", "nan"], "nan is no number of seconds"),
        (["--away", "-1"], "-1 is no number of seconds"),
        (["--fast"], "--fast"),
    ],
)
def test_what_is_not_understood(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        options.chosen(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_the_verdict_is_one_sentence() -> None:
    good = _result("order")
    assert result.verdict([good, good]) == (
        "Nothing acknowledged was lost, nothing doubled, no quota adrift."
    )
    noted = _result("garbage")
    noted.found.notes.append("it never became quiet")
    assert result.verdict([good, _result("kill -9", lost=2, drift=7), noted]) == (
        "FAILED: kill -9 (2 lost, 7 of quota drift); "
        "garbage (none lost or doubled, but see its lines)."
    )


def test_the_legend_explains_every_count() -> None:
    for name in ("acknowledged", "lost", "doubled", "quota drift", "messages", "repeats"):
        assert f"{name}:" in result.LEGEND
