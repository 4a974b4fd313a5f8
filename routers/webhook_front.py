"""What stands in front of the webhooks' gates. Anybody may knock there: who is refused by the head
of the request alone has taken no place, and not a byte of the body has been read.
"""

from collections.abc import Iterable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from errors import UploadgateError
from routers.middleware.body_limit import WHOLE_BODY, replayed
from routers.middleware.request_id import SCOPE_KEY
from routers.problems import problem_response
from routers.webhooks import WebhookDoor


class WebhookFront:
    """Between BodyLimit and Admission."""

    def __init__(self, app: ASGIApp, *, webhooks: Iterable[WebhookDoor]) -> None:
        self._app = app
        self._doors = {door.path: door for door in webhooks}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self._doors.get(scope["path"]) if scope["type"] == "http" else None
        if door is None or scope["method"] != door.method:
            await self._app(scope, receive, send)
            return
        try:
            body = await door.arrival(scope, receive)
        except ClientDisconnect:
            return
        except UploadgateError as error:
            scope["route"] = door  # which the log names
            await problem_response(error, scope.get(SCOPE_KEY))(scope, receive, send)
            return
        if body is None:
            await self._app(scope, receive, send)
            return
        scope[WHOLE_BODY] = body
        try:
            await self._app(scope, replayed(body, receive), send)
        finally:
            door.departure(body)
