"""Who grants are measured against, and how each one's own documentation says to run it."""

from dataclasses import dataclass
from typing import Literal

UVICORN = (
    *("--loop", "uvloop", "--http", "httptools"),
    *("--no-access-log", "--log-level", "warning"),
)


@dataclass(frozen=True, slots=True)
class Peer:
    """`module` of this package holds `create_app`; `needs` are modules it imports."""

    title: str
    module: str
    needs: tuple[str, ...]
    server: Literal["uvicorn", "gunicorn"] = "uvicorn"
    options: tuple[str, ...] = UVICORN


PEERS = {
    "empty": Peer("an empty FastAPI route", "empty", ("fastapi",)),
    "pyjwt": Peer("a FastAPI route that checks with PyJWT", "pyjwt_route", ("fastapi", "jwt")),
    "bare": Peer("a bare aioboto3 handler", "bare_aioboto3", ("fastapi", "aioboto3")),
    "threads": Peer("boto3 in FastAPI's thread pool", "thread_boto3", ("fastapi", "boto3")),
    "flask": Peer(
        "Flask and boto3 under gunicorn (2 workers, 8 threads)",
        "flask_boto3",
        ("flask", "gunicorn", "boto3"),
        "gunicorn",
        ("--workers", "2", "--threads", "8"),
    ),
}
