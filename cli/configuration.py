"""Settings that were refused, told without a trace and without their values."""

import typer
from pydantic import ValidationError
from pydantic_settings.exceptions import SettingsError

from settings import Settings

REFUSED = 2
STARTING = "uploadgate cannot start with these settings:"
# For what starts nothing.
MANAGING = "This command needs the settings that the service has; these are refused:"


def load() -> Settings:
    """Raises pydantic's errors; `refusals` tells them."""
    return Settings()


def load_or_exit(heading: str = STARTING) -> Settings:
    """For commands: what was refused goes to standard error, the exit code is 2."""
    try:
        return load()
    except ValueError as error:
        lines = refusals(error, heading)
        if lines is None:
            raise
        typer.echo("\n".join(lines), err=True)
        raise typer.Exit(REFUSED) from None


def refusals(error: ValueError, heading: str = STARTING) -> list[str] | None:
    """The lines to show; None for an error that has nothing to do with settings."""
    if isinstance(error, ValidationError):
        return [heading, *(f"  {line}" for entry in error.errors() for line in _told(entry))]
    if isinstance(error, SettingsError):
        return [heading, f"  {error}"]
    return None


def _told(entry: object) -> list[str]:
    assert isinstance(entry, dict)  # noqa: S101 - pydantic's ErrorDetails
    message = str(entry["msg"]).removeprefix("Value error, ")
    path = ".".join(str(part) for part in entry["loc"])
    if path:
        return [f"{path}: {message} ({_variable(path)})"]
    return message.split("; ")


def _variable(path: str) -> str:
    return "UPLOADGATE_" + path.upper().replace(".", "__")
