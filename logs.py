"""Structured logs: one shape for our own lines and for the libraries'. Secrets never reach one.

The first guard is that nobody logs a secret; the second is here: values under telling names are
struck out, and so is whatever looks like a token or a signed address in any text.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
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
_STRUCK = "***"

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
        value = _JWT.sub(_STRUCK, value)
        value = _SIGNED.sub(rf"\1{_STRUCK}", value)
        value = _TICKET.sub(_STRUCK, value)
        value = _WEBHOOK.sub(_STRUCK, value)
        return _REFRESH.sub(_STRUCK, value)
    if isinstance(value, dict):
        return {
            name: _STRUCK if _TELLING.search(str(name)) else _strike(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_strike(inner) for inner in value]
    return value


def strike_secrets(_logger: Any, _method: str, event: Event) -> Event:
    """A structlog processor."""
    for name, value in event.items():
        event[name] = _STRUCK if _TELLING.search(name) else _strike(value)
    return event


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
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for library in _CHATTY:
        logging.getLogger(library).setLevel(max(logging.WARNING, root.level))
    for library in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(library)
        logger.handlers, logger.propagate = [], True
