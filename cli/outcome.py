"""How a command ends: its exit codes, and a problem told to people."""

from client.problems import ApiError, ClientError

FAILED, MISCONFIGURED, INTERRUPTED = 1, 2, 130


def describe(error: ClientError) -> str:
    """One line, with what to quote when asking for help; then the error's notes."""
    parts = [error.title] if error.title == error.detail else [error.title, error.detail]
    text = f"{': '.join(parts)} [{error.code}]"
    if isinstance(error, ApiError) and error.request_id:
        text += f" (request {error.request_id})"
    return "\n  ".join([text, *notes(error)])


def notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", []))
