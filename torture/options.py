"""The command line of `make torture`."""

import argparse
import contextlib
import math
import sys
import textwrap
from collections.abc import Sequence

from torture.repertoire import Scenario, repertoire
from torture.valkey import SERVER

_ROUNDS, _AWAY_SECONDS = 100, 60.0
_ABOUT = (
    "Postgres, the store, two replicas and an application that hears, all real and on this "
    "machine: everything that may go wrong goes wrong, and then the accounts are checked."
)
_WIDTH = 96


def chosen(arguments: Sequence[str]) -> list[Scenario]:
    """Ends the program for --help, and for what it does not know."""
    parser = _parser()
    options = parser.parse_intermixed_args(arguments)
    known = repertoire(options.rounds, options.away)
    if unknown := set(options.scenarios) - known.keys():
        parser.error(f"no scenarios: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if SERVER is None and "valkey" not in options.scenarios:
        del known["valkey"]
        if not options.scenarios:
            print("valkey: left out, neither Valkey nor Redis is installed", file=sys.stderr)
    return [each for name in options.scenarios or known for each in known[name].scenarios]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make torture",
        usage='make torture ARGS="[--rounds N] [--away SECONDS] [SCENARIO …]"',
        description=textwrap.fill(_ABOUT, _WIDTH),
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help="which of them; all, if left out"
    )
    parser.add_argument(
        "--rounds",
        type=_at_least_one,
        default=_ROUNDS,
        metavar="N",
        help=f"how often a replica is killed (default {_ROUNDS})",
    )
    parser.add_argument(
        "--away",
        type=_seconds,
        default=_AWAY_SECONDS,
        metavar="SECONDS",
        help=f"how long the database is away (default {_AWAY_SECONDS:g})",
    )
    return parser


def _epilog() -> str:
    known = repertoire(_ROUNDS, _AWAY_SECONDS)
    longest = max(map(len, known))
    lines = [
        textwrap.fill(
            chapter.about,
            _WIDTH,
            initial_indent=f"  {name:<{longest}}  ",
            subsequent_indent=" " * (longest + 4),
        )
        for name, chapter in known.items()
    ]
    return "\n".join(["scenarios:", *lines])


def _at_least_one(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is no number of rounds")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (number := float(text)) < math.inf:
            return number
    raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
