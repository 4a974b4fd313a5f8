"""`uploadgate serve`: uvicorn, started from here, with a drain before it stops."""

import asyncio
import functools
import gc
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType

import typer
import uvicorn

from cli import process_logs
from cli.backlog import close_listeners
from cli.configuration import REFUSED, load_or_exit
from cli.http_protocol import BoundedHttpProtocol
from cli.sole_process import claim, process_refusal
from settings import HttpSettings, Settings

# For what is being answered when the drain is over.
GRACE_SECONDS = 20
_CLOSE = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """Stops in two steps, so that a load balancer takes the replica out before it is gone.

    The first SIGTERM makes it unready, and it serves on for `drain_seconds`; each answer tells its
    client to come back on another connection. After it nobody new is let in, and what was sent
    until then is answered. SIGINT, or a second signal, ends the drain; a third one also cuts off
    what is still being answered.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Callable[[], None],
        *,
        drain_seconds: float,
        end_streams: Callable[[], None] = lambda: None,
    ) -> None:
        """`drain` makes /readyz say no, while everything else is still served. `end_streams` ends
        the answers that have no end of their own, after the drain: who is told earlier comes back
        while load balancers still send it here.
        """
        super().__init__(config)
        self._make_unready = drain
        self._end_streams = end_streams
        self._drain_seconds = drain_seconds
        self.draining = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _settle_memory()
        if self.started:
            typer.echo(f"uploadgate serves at {self.address}", err=True)

    async def on_tick(self, counter: int) -> bool:
        ends = await super().on_tick(counter)
        if self.draining:
            self._announce_close()  # it has made the headers anew
        return ends

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.draining = True
        self._announce_close()
        await close_listeners(self.servers, self._protocol())
        self._end_streams()
        await super().shutdown(sockets)

    def _announce_close(self) -> None:
        state = self.server_state
        if _CLOSE not in state.default_headers:
            state.default_headers = [*state.default_headers, _CLOSE]
        for connection in state.connections:
            if isinstance(connection, BoundedHttpProtocol):
                connection.announce_close()

    def _protocol(self) -> Callable[[], asyncio.Protocol]:
        """As uvicorn makes one for each connection."""
        return functools.partial(
            BoundedHttpProtocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    @property
    def address(self) -> str:
        """Where it listens really, also when the port was left open."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # uvicorn would raise the signal once more after a clean end; being told to stop is no
        # failure, so it is not recorded here and the process exits with 0.
        if self.should_exit:
            self.force_exit = True
        elif self.started and sig == signal.SIGTERM and not self.draining:
            self._drain()
        else:
            self.should_exit = True

    def _drain(self) -> None:
        self.draining = True
        self._make_unready()
        # A signal handler runs in the loop's thread, perhaps in the middle of a line that is being
        # written: whoever writes then gets a RuntimeError, and nothing would ever stop.
        asyncio.get_running_loop().call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        asyncio.get_running_loop().call_later(self._drain_seconds, self._stop)
        self._announce_close()
        typer.echo(f"uploadgate drains for {self._drain_seconds:g} s, then stops", err=True)

    def _stop(self) -> None:
        self.should_exit = True


def _settle_memory() -> None:
    """What stands now stands for good: to walk through it all again and again took a full
    collection 0.3 s, in which nobody is answered. What requests leave behind is collected less
    often, more at a time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def run(workers: int) -> int:
    """The exit code: 2 for settings that were refused, 3 when the service could not start."""
    settings = load_or_exit()
    with ExitStack() as life:
        refusal = _refusal(settings, workers) or _claim(settings, life)
        if refusal is not None:
            typer.echo(refusal, err=True)
            return REFUSED
        _server(settings).run()
    return 0


def _refusal(settings: Settings, workers: int) -> str | None:
    return process_refusal(settings.database.url.get_secret_value(), workers)


def _claim(settings: Settings, life: ExitStack) -> str | None:
    return claim(settings.database.url.get_secret_value(), life)


def _server(settings: Settings) -> DrainingServer:
    from main import create_app  # noqa: PLC0415 - after the settings have been accepted

    process_logs.configure(settings)
    process_logs.tell_queue(settings, taken=False)
    app = create_app(settings)
    config = _config(settings.http, app)

    def drain() -> None:
        app.state.readiness.drain()  # set by the lifespan: before it there is nothing to drain

    def end_streams() -> None:
        streams = getattr(app.state, "streams", None)  # likewise
        if streams is not None:
            streams.close()

    return DrainingServer(
        config, drain, drain_seconds=settings.drain_seconds, end_streams=end_streams
    )


def _config(http: HttpSettings, app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # FastAPI stays where it belongs, in main
        host=http.host,
        port=http.port,
        loop="uvloop",
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="on",
        workers=1,
        # The application logs, counts and trusts proxies itself.
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=http.keep_alive_seconds,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
