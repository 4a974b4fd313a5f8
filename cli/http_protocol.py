"""uvicorn's HTTP/1.1, with bounds on what comes before a body (uvicorn itself has none, and the
application sees a request only when its head is complete), and with connections that end so that
no request that has been sent is lost.
"""

import asyncio
import json
import socket
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from cli.turnstile import turnstile_of
from errors import HeadersTooLargeError

# What is fed to the parser at once: how far a head can go beyond its bound unnoticed.
_PIECE = 8 * 1024
# A socket that is closed with input unread resets, and its client may never see the answer.
_LINGER_SECONDS = 1.0
# One turn of the loop, in which it reads what has come.
_TURN_SECONDS = 0.001
_STATUS = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
_PROBLEM = {
    "type": f"urn:uploadgate:problem:{HeadersTooLargeError.code}",
    "title": HeadersTooLargeError.title,
    "status": _STATUS.value,
    "detail": HeadersTooLargeError.title,
    "code": HeadersTooLargeError.code,
}


class HeadTooLargeError(Exception):
    """Raised within the parser, to stop it."""


class AnswerSide:
    """What an answer sees of its connection. Bound once: it writes as if nothing stood between."""

    def __init__(self, protocol: "BoundedHttpProtocol") -> None:
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing
        self.close = protocol.close_when_read


class BoundedHttpProtocol(HttpToolsProtocol):
    """`largest_head` in bytes, request line included; trailers and chunk sizes count alike.

    `head_seconds` is for a head from its first byte on, and for the rest of a body whose request
    has been answered already. A connection on which nothing comes is closed as an idle one is;
    once the server stops, after `quiet_seconds`.
    """

    largest_head = 64 * 1024
    most_headers = 200
    head_seconds = 10.0
    quiet_seconds = 0.25

    _in_head = False
    _useless = 0  # bytes since the last one of a complete head or of a body
    _too_large = False
    _refused = False
    _lingers = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._answer_side = AnswerSide(self)
        self._turnstile = turnstile_of(self.server_state, self.loop)
        self._start_idling()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        if self._is_between() and not self._turnstile.admits(data):
            # What has come is a request: the connection is not idle any more.
            self._unset_keepalive_if_required()
            self.transport.pause_reading()
            self._turnstile.hold(self._let_in, data)
            return
        self._take(data)

    def _let_in(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self._take(data)

    def _is_between(self) -> bool:
        """Whether what comes now begins a request."""
        return not (self._in_head or self._refused or self._is_answering())

    def _take(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            if self._refused or self.transport.is_closing():
                return
            self._feed(data[start : start + _PIECE])

    def _feed(self, piece: bytes) -> None:
        if not self._is_answering():
            self._start_deadline()
        self._useless += len(piece)
        super().data_received(piece)
        if self._useless > self.largest_head and not self._refused:
            self._too_large = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= self.most_headers:
            self._too_large = True
            raise HeadTooLargeError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._useless = 0
        self._end_deadline()
        super().on_headers_complete()
        self.cycle.transport = self._answer_side  # type: ignore[assignment]
        self.scope["extensions"] = {
            # Of an answer whose client takes nothing: closing would wait for what is not taken.
            "uploadgate.abort": self.transport.abort,  # type: ignore[dict-item]
            "uploadgate.patience": self.limit_patience,  # type: ignore[dict-item]
        }

    def on_body(self, body: bytes) -> None:
        self._useless = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._useless = 0
        self._end_deadline()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._lingers:
            return
        super().on_response_complete()
        if self._in_head and not self._is_answering():
            self._start_deadline()  # what came meanwhile waited for the answer, not for its client

    def send_400_response(self, msg: str) -> None:
        """For what cannot be parsed, too: no answer may be written into another one."""
        self._refused = True
        if self._is_answering():
            self.cycle.keep_alive = False
        elif self._too_large:
            self._answer_too_large()
        else:
            super().send_400_response(msg)

    def _answer_too_large(self) -> None:
        body = json.dumps(_PROBLEM).encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[_STATUS] + lines + b"\r\n" + body)
        self._linger()

    def close_when_read(self) -> None:
        """At the end of the last answer."""
        if self.cycle.more_body or self.pipeline:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """The client sees the end at once; what it still sends is read, and ignored."""
        if self._lingers or self.transport.is_closing():
            return
        self._refused = self._lingers = True
        self.flow.resume_reading()
        self.transport.write_eof()
        self._end_deadline()
        self._deadline = self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def announce_close(self) -> None:
        """The answer under way is the connection's last one, if its client can still be told."""
        if self._is_answering() and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def limit_patience(self, seconds: float) -> None:
        """With a client that takes nothing of what was sent, be it out of reach: the connection
        breaks then. Of Linux; elsewhere the system's own patience counts, a quarter of an hour.
        """
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        taken: socket.socket | None = self.transport.get_extra_info("socket")
        if option and taken and taken.family in (socket.AF_INET, socket.AF_INET6):
            taken.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))

    def shutdown(self) -> None:
        """The server stops: what has come is still answered, and so is what comes just now."""
        self.announce_close()
        self.timeout_keep_alive = self.quiet_seconds  # type: ignore[assignment]
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
            self._start_idling()

    def timeout_keep_alive_handler(self) -> None:
        """Timers come before input: a request that came while the loop was busy is read first."""
        self.timeout_keep_alive_task = self.loop.call_later(
            _TURN_SECONDS, super().timeout_keep_alive_handler
        )

    def _start_idling(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _is_answering(self) -> bool:
        # None before the first request, whatever its type says.
        return bool(self.cycle) and not self.cycle.response_complete

    def _start_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
