"""`uploadgate worker`: what `serve` does beside the requests, without HTTP, and the queue."""

import asyncio
import signal
from contextlib import ExitStack

import structlog
import typer
import uvloop

from cli import process_logs
from cli.configuration import REFUSED, load_or_exit
from cli.outcome import FAILED
from settings import Settings

_log = structlog.get_logger("uploadgate")


def run() -> int:
    """The exit code: 0 after SIGTERM or SIGINT, 1 should the work end by itself (its log says why),
    2 for settings that were refused.
    """
    settings = load_or_exit()
    with ExitStack() as life:
        refusal = _claim(settings, life)
        if refusal is not None:
            typer.echo(refusal, err=True)
            return REFUSED
        process_logs.configure(settings)
        return uvloop.run(_work(settings))


def _claim(settings: Settings, life: ExitStack) -> str | None:
    from cli.sole_process import claim  # noqa: PLC0415 - loads the database's driver

    return claim(settings.database.url.get_secret_value(), life)


async def _work(settings: Settings) -> int:
    from main import VERSION  # noqa: PLC0415 - after the settings have been accepted
    from wiring import opened_worker  # noqa: PLC0415

    stop = _stop_signal()
    async with opened_worker(settings, VERSION) as work:
        _log.info("worker.starts")
        process_logs.tell_queue(settings, taken=True)
        told = asyncio.create_task(stop.wait())
        await asyncio.wait([work, told], return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        _log.info("worker.stops")
    return 0 if stop.is_set() else FAILED


def _stop_signal() -> asyncio.Event:
    """The first signal ends the work cleanly; a second one does what it does to any program."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)

    def on_signal() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, on_signal)
    return stop
