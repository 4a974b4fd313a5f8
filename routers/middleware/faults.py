"""The last resort: a fault of ours becomes a problem document, its trace goes to the log only.

Innermost of the middlewares, so that the answer still gets its request id, CORS headers and line
in the access log (Starlette's own handler stands outside of them all).
"""

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import InternalError
from routers.middleware.request_id import SCOPE_KEY
from routers.problems import problem_response

_log = structlog.get_logger("uploadgate")


class FaultBarrier:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watching(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watching)
        except ClientDisconnect:
            return  # left while sending: nobody is there to answer
        except Exception:
            _log.exception("unhandled error")
            if started:
                raise  # half an answer is out; the server must cut the connection
            answer = problem_response(InternalError(), scope.get(SCOPE_KEY))
            await answer(scope, receive, send)
