"""What the demo prints: one line a step, plain where there is no terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console

from cli.outcome import describe
from client.problems import ClientError


class StepFailedError(Exception):
    """A step that has been told already."""


@dataclass(slots=True)
class Step:
    """One step; what it learns is printed behind its name."""

    name: str
    found: str = ""


@dataclass(frozen=True, slots=True)
class Teller:
    console: Console = field(default_factory=Console)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """✓ when the block ends, ✗ with the problem when it fails."""
        step = Step(name)
        try:
            yield step
        except Exception as error:
            self.say(f"✗ {name}: {_told(error)}", "red")
            raise StepFailedError(name) from error
        self.say(f"✓ {name}{': ' if step.found else ''}{step.found}")

    def say(self, text: str = "", style: str | None = None) -> None:
        # Markup would eat brackets; a wrapped line could not be pasted.
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def rows(self, title: str, rows: dict[str, str]) -> None:
        width = max(map(len, rows))
        self.say()
        self.say(title, "bold")
        for name, value in rows.items():
            self.say(f"  {name:<{width}}  {value}")


def _told(error: Exception) -> str:
    if isinstance(error, ClientError):
        return describe(error)
    return str(error) or type(error).__name__
