"""JSON routes take JSON. Stops a page's form from being read as a call (and says so)."""

from fastapi import Depends, Request

from errors import UnsupportedMediaTypeError


def _json_only(request: Request) -> None:
    sent = request.headers.get("content-type", "")
    kind = sent.partition(";")[0].strip().lower()
    empty = request.headers.get("content-length", "0") == "0" and not sent
    if empty and "transfer-encoding" not in request.headers:
        return  # the body's own absence is judged by the route
    if kind != "application/json":
        raise UnsupportedMediaTypeError("Send the body as application/json")


JSON_ONLY = Depends(_json_only)
