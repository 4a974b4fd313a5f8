"""Turns `pip config list` on standard input into a pip.conf for a build on the same network.

Whatever names a file or directory of this machine is left out: a build cannot see it.
"""

import ast
import configparser
import re
import sys
from collections.abc import Iterable

_KEPT = {"index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries"}
_LINE = re.compile(r"^(?P<section>[^.]+)\.(?P<name>[^=]+)=(?P<value>.*)$")


def pip_conf(lines: Iterable[str]) -> configparser.RawConfigParser:
    """Variables come after files in pip's list, and win here as they do there."""
    found = configparser.RawConfigParser()
    for match in filter(None, map(_LINE.match, lines)):
        name = match["name"].removeprefix("default-")
        value = _reachable(str(ast.literal_eval(match["value"])))
        if name not in _KEPT or not value:
            continue
        section = "global" if match["section"] == ":env:" else match["section"]
        if not found.has_section(section):
            found.add_section(section)
        found.set(section, name, value)
    return found


def _reachable(value: str) -> str:
    return " ".join(word for word in value.split() if not word.startswith(("file:", "/", "~")))


if __name__ == "__main__":
    pip_conf(sys.stdin).write(sys.stdout)
