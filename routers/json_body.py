"""JSON routes take JSON. Stops a page's form from being read as a call (and says so)."""

from fastapi import Depends, Request

from errors import UnsupportedMediaTypeError


async def _json_only(request: Request) -> None:
    headers = request.headers
    if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
        return  # no body, whatever type a client names; the route judges its absence
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaTypeError("Send the body as application/json")


JSON_ONLY = Depends(_json_only)
