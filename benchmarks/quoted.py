"""Figures in a text, each between two marks that do not show, so that they can be filled in anew:
`<!-- figure: CASE :: SUBJECT -->8,900<!-- / -->`, with `:: NAME` after the subject for one of those
seen besides; `<!-- target: CASE :: AGAINST -->1.3<!-- / -->` for what was found of a promise.
"""

import re
from collections.abc import Iterable

from benchmarks.record import Section
from benchmarks.report import number

UNKNOWN = "not measured"
_MARKED = re.compile(
    r"(?P<mark><!-- (?P<kind>figure|target): (?P<what>[^<>]+?) -->)[^<]*<!-- / -->"
)


def fill(text: str, sections: Iterable[Section]) -> tuple[str, list[str]]:
    """The text with today's figures, and what it asks for that was not measured."""
    known = _known(sections)
    missing: list[str] = []

    def one(found: re.Match[str]) -> str:
        what = (found["kind"], *(part.strip() for part in found["what"].split("::")))
        value = known.get(what)
        if value is None:
            missing.append(found["what"])
        return f"{found['mark']}{UNKNOWN if value is None else number(value)}<!-- / -->"

    return _MARKED.sub(one, text), missing


def _known(sections: Iterable[Section]) -> dict[tuple[str, ...], float]:
    known: dict[tuple[str, ...], float] = {}
    for section in sections:
        for figure in section.figures:
            known["figure", figure.case, figure.subject] = figure.value
            for name, value in figure.more.items():
                if isinstance(value, int | float):
                    known["figure", figure.case, figure.subject, name] = value
        for target in section.targets:
            known["target", target.case, target.against] = target.found
    return known
