"""Structured logs: one shape for our own lines and for the libraries'. Secrets never reach one.

The first guard is that nobody logs a secret; the second is here: values under telling names are
struck out, and so is whatever looks like a token or a signed address in any text.

A line is written before its author goes on: where nobody reads stderr any more, the process waits.
"""

import logging
import re
import sys
from collections.abc import MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

_TELLING = re.compile(
    r"token|secret|password|authorization|cookie|signature|credential|api_?key", re.IGNORECASE
)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_SIGNED = re.compile(r"(X-Amz-(?:Signature|Security-Token|Credential)=)[^&\s\"']+", re.IGNORECASE)
_REFRESH = re.compile(r"\brt_[A-Za-z0-9_-]{16,}")
# Tickets in addresses: companion ones, and those for one operation (JSON, then a signature).
_TICKET = re.compile(r"\bupt_[A-Za-z0-9_-]{16,}|\bWyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]+")
_WEBHOOK = re.compile(r"\bwhsec_[A-Za-z0-9+/=]{16,}")
# One of these is in whatever the five above strike out, and in hardly any line.
_PERHAPS = re.compile(r"eyJ|X-Amz-|rt_|upt_|WyJ|whsec_", re.IGNORECASE)
_STRUCK = "***"
# What an access line takes from a request: its method, the client's address, an upload's id as we
# make them, and a request's id that is none of the above. The rest are numbers and our own words.
_PLAIN = re.compile(
    r"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)"
    r" (?:[0-9A-Fa-f.:]{2,45}|None)"
    r" (?:upl_[0-9a-f]{32}|None)"
    r" (?:[0-9a-f-]{1,64}|(?!\S*(?:eyJ|WyJ|rt_|upt_|whsec_))[A-Za-z0-9._-]{1,64})"
)

# At debug these print requests whole, headers and all.
_CHATTY = (
    "aiobotocore",
    "aiohttp",
    "aiosqlite",
    "asyncio",
    "boto3",
    "botocore",
    "httpcore",
    "httpx",
    "sqlalchemy",
    "urllib3",
)

Event = MutableMapping[str, Any]


def _strike(value: Any) -> Any:
    if isinstance(value, str):
        return value if _PERHAPS.search(value) is None else _strike_text(value)
    if isinstance(value, dict):
        return {
            name: _STRUCK if _TELLING.search(str(name)) else _strike(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_strike(inner) for inner in value]
    return value


def _strike_text(text: str) -> str:
    text = _JWT.sub(_STRUCK, text)
    text = _SIGNED.sub(rf"\1{_STRUCK}", text)
    text = _TICKET.sub(_STRUCK, text)
    text = _WEBHOOK.sub(_STRUCK, text)
    return _REFRESH.sub(_STRUCK, text)


def strike_secrets(_logger: Any, _method: str, event: Event) -> Event:
    """A structlog processor."""
    for name, value in event.items():
        event[name] = _STRUCK if _TELLING.search(name) else _strike(value)
    return event


class AccessRecord(logging.LogRecord):
    """One request's line, of which there are as many as there are requests. `values` are its
    method, route, upload_id, status, milliseconds, bytes_sent, client, event and request_id.
    """

    def __init__(self, name: str, level: int, values: Event) -> None:
        super().__init__(name, level, "", 0, "request", None, None)
        self.values = values

    def plain(self) -> str | None:
        """The line in JSON, where no value can hold a secret by its shape; else None."""
        of = self.values
        client, upload_id, request_id = of["client"], of["upload_id"], of["request_id"]
        if _PLAIN.fullmatch(f"{of['method']} {client} {upload_id} {request_id}") is None:
            return None
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return (
            f'{{"method": "{of["method"]}", "route": "{of["route"]}", '
            f'"upload_id": {_text(upload_id)}, "status": {of["status"]}, '
            f'"milliseconds": {of["milliseconds"]}, "bytes_sent": {of["bytes_sent"]}, '
            f'"client": {_text(client)}, "event": "{of["event"]}", '
            f'"request_id": {_text(request_id)}, '
            f'"logger": "{self.name}", "level": "{self.levelname.lower()}", "timestamp": "{now}"}}'
        )


def _text(plain: str | None) -> str:
    return "null" if plain is None else f'"{plain}"'


class Lines(structlog.stdlib.ProcessorFormatter):
    """What the handler writes. Access lines of plain values are made here at once: all that every
    other line goes through would cost more than the request.
    """

    def __init__(self, shared: Sequence[Any], renderer: Any, *, in_json: bool) -> None:
        ending = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        super().__init__(foreign_pre_chain=shared, processors=ending)
        self._chain = [*shared, renderer]
        self._in_json = in_json

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record, AccessRecord):
            return super().format(record)
        return (record.plain() if self._in_json else None) or self._struck(record)

    def _struck(self, record: AccessRecord) -> str:
        line: Any = dict(record.values)
        for processor in self._chain:
            line = processor(logging.getLogger(record.name), record.levelname.lower(), line)
        return str(line)


def configure(level: str, shape: Literal["json", "console"]) -> None:
    """Once a process, by whoever starts it. Writes to stderr."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        strike_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer = (
        structlog.processors.JSONRenderer()
        if shape == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(shared, renderer, in_json=shape == "json"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for library in _CHATTY:
        logging.getLogger(library).setLevel(max(logging.WARNING, root.level))
    for library in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(library)
        logger.handlers, logger.propagate = [], True
