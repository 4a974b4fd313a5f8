"""What is drawn and filled in from what was found."""

import json
import xml.etree.ElementTree as ET
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import pictures, quoted
from benchmarks.drawing import Bar, Panel, draw
from benchmarks.record import Figure, Section, Target

_WAYS = "200 users, 20 MiB each, at once"
_OURS, _FLASK = "uploadgate, direct", "Flask and a thread"


def _way(subject: str, seconds: float) -> Figure:
    more = {"memory_mib": 150.0, "other_p99_ms": 4.5}
    return Figure(case=_WAYS, subject=subject, value=seconds, unit="CPU s/GiB", more=more)


@pytest.fixture
def section() -> Section:
    return Section(
        name="old_way",
        figures=[_way(_OURS, 0.5), _way(_FLASK, 8.0)],
        targets=[Target(case=_WAYS, against=_FLASK, found=16, least=10)],
    )


def _drawn(path: Path, value: float = 2) -> bytes:
    bars = [Bar("a label that is too long for one line of the picture", 1), Bar("b", value)]
    draw(path, "A title", [Panel("in seconds", bars), Panel("in MiB", bars, log=True)])
    return path.read_bytes()


def test_the_same_figures_make_the_same_bytes(tmp_path: Path) -> None:
    first = _drawn(tmp_path / "a.svg")
    assert first == _drawn(tmp_path / "b.svg")
    assert first != _drawn(tmp_path / "c.svg", 3)


def test_a_picture_is_svg_with_its_title_and_no_date(tmp_path: Path) -> None:
    drawn = _drawn(tmp_path / "a.svg")
    assert ET.fromstring(drawn).tag.endswith("svg")  # noqa: S314 - drawn here
    assert b"A title" in drawn
    assert b"date" not in drawn


def test_zeros_can_be_drawn(tmp_path: Path) -> None:
    bars = [Bar("a", 0), Bar("b", 0)]
    draw(tmp_path / "a.svg", "Nothing", [Panel("in seconds", bars)])
    assert (tmp_path / "a.svg").exists()


def test_a_title_says_what_the_figures_say(section: Section) -> None:
    [picture] = pictures.pictures(section.figures)
    assert picture.name == "old-way"
    assert "16 times" in picture.title
    assert [panel.bars[1].value for panel in picture.panels] == [8.0, 150.0, 4.5]
    assert [bar.ours for bar in picture.panels[0].bars] == [True, False]


@pytest.mark.parametrize("gone", [_OURS, _FLASK])
def test_what_was_not_measured_has_no_picture(section: Section, gone: str) -> None:
    left = [figure for figure in section.figures if figure.subject != gone]
    assert pictures.pictures(left) == []


def test_figures_in_a_text_are_filled_in_anew(section: Section) -> None:
    text = (
        f"It took <!-- figure: {_WAYS} :: {_OURS} -->9.99<!-- / --> s and "
        f"<!-- figure: {_WAYS} :: {_OURS} :: memory_mib -->not measured<!-- / --> MiB,\n"
        f"<!-- target: {_WAYS} :: {_FLASK} -->1<!-- / --> times less."
    )
    filled, missing = quoted.fill(text, [section])
    assert missing == []
    assert "-->0.5<!-- / --> s" in filled
    assert "-->150<!-- / --> MiB" in filled
    assert "-->16<!-- / --> times" in filled
    assert quoted.fill(filled, [section]) == (filled, [])


def test_what_is_not_known_is_said(section: Section) -> None:
    filled, missing = quoted.fill("<!-- figure: other :: one -->5<!-- / -->", [section])
    assert missing == ["other :: one"]
    assert filled == "<!-- figure: other :: one -->not measured<!-- / -->"


def test_the_page_and_the_pictures_are_made_from_the_results(
    section: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, docs = tmp_path / "latest.json", tmp_path / "docs"
    results.write_text(json.dumps({"sections": [asdict(section)]}))
    docs.mkdir()
    page = docs / "performance.md"
    page.write_text(f"<!-- figure: {_WAYS} :: {_OURS} -->not measured<!-- / -->")
    words = ["pictures", "--results", str(results), "--docs", str(docs)]
    monkeypatch.setattr("sys.argv", words)
    assert pictures.main() == 0
    assert [path.name for path in (docs / "performance").iterdir()] == ["old-way.svg"]
    assert "-->0.5<!-- / -->" in page.read_text()


def test_the_page_asks_for_nothing_that_cannot_be_read() -> None:
    page = (pictures.DOCS / "performance.md").read_text()
    _, asked = quoted.fill(page, [])
    assert len(asked) == page.count("<!-- / -->")
