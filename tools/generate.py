"""Writes the documents that are made from code; with `--check` only says which are out of date.

Nothing of the environment enters: the same code gives the same documents anywhere.
"""

import difflib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from main import create_app  # noqa: E402 - the application is a folder on the path
from routers import problems  # noqa: E402
from settings import Settings  # noqa: E402
from tools.settings_page import settings_page  # noqa: E402

_SHOWN_LINES = 40


class _Defaults(Settings):
    """Settings that read no source but their own defaults."""

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[Any, ...]:
        return (sources["init_settings"],)


def documents() -> dict[str, str]:
    """Path below the root → text. Raises ValueError for a setting without description."""
    return {
        "docs/settings.md": settings_page(Settings),
        "docs/openapi.json": json.dumps(openapi(), indent=2, sort_keys=True, ensure_ascii=False)
        + "\n",
        "docs/problems.md": problems_page(),
    }


def openapi() -> dict[str, Any]:
    return create_app(_Defaults(environment="development")).openapi()


def problems_page() -> str:
    return "\n".join(_problem_lines()) + "\n"


def _problem_lines() -> Iterator[str]:
    yield "# Problems"
    yield ""
    yield "Every error is `application/problem+json` (RFC 9457). Programs read `code`, which is"
    yield "stable, and `retry_mode`, which says what helps. Generated from `errors.py` and"
    yield "`routers/problems.py` by `make generate`."
    yield ""
    yield "| `code` | status | title | `retry_mode` |"
    yield "|---|---|---|---|"
    for kind in problems.catalogue():
        status = problems.STATUS[kind].value  # its phrase changes with Python's version
        mode = f"`{kind.retry_mode}`" if kind.retry_mode else ""
        yield f"| `{kind.code}` | {status} | {kind.title} | {mode} |"


def outdated() -> dict[str, tuple[str, str]]:
    """Path → (what the file holds, what it should hold), for each that differs."""
    found = {}
    for name, wanted in documents().items():
        file = ROOT / name
        present = file.read_text(encoding="utf-8") if file.exists() else ""
        if present != wanted:
            found[name] = (present, wanted)
    return found


def _summary(name: str, present: str, wanted: str) -> str:
    before, after = present.splitlines(), wanted.splitlines()
    lines = list(difflib.unified_diff(before, after, name, "as it should be", n=1, lineterm=""))
    more = len(lines) - _SHOWN_LINES
    return "\n".join([*lines[:_SHOWN_LINES], *([f"… and {more} lines more"] if more > 0 else [])])


def main(arguments: list[str]) -> int:
    try:
        found = outdated()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments != ["--check"]:
        for name, (_, wanted) in found.items():
            (ROOT / name).write_text(wanted, encoding="utf-8")
            print(f"wrote {name}")
        return 0
    for name, (present, wanted) in found.items():
        print(_summary(name, present, wanted), file=sys.stderr)
    if found:
        print(f"Out of date: {', '.join(found)}. Run `make generate`.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
