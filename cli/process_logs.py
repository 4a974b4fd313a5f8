"""What a process that serves or works says of itself, in its log."""

import logging
from urllib.parse import urlsplit

import structlog

import logs
from settings import Settings

_log = structlog.get_logger("uploadgate")


def configure(settings: Settings) -> None:
    """Alembic also says at every start which database it sees, at the level of its upgrades."""
    logs.configure(settings.log_level, settings.log_format)
    logging.getLogger("alembic.runtime.migration").addFilter(_is_news)


def tell_queue(settings: Settings, *, taken: bool) -> None:
    """Whether this process takes from a queue, and from which. Its address is no secret."""
    if settings.sqs.queue_url is None:
        if taken:
            _log.info("queue.none", hint="UPLOADGATE_SQS__QUEUE_URL is not set")
        return
    parts = urlsplit(settings.sqs.queue_url)
    queue = parts.netloc.rpartition("@")[2] + parts.path
    if taken:
        _log.info("queue.taken_from", queue=queue)
    else:
        _log.info("queue.not_taken_from", queue=queue, hint="`uploadgate worker` does")


def _is_news(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or str(record.msg).startswith("Running ")
