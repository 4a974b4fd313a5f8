"""The old way: a Flask application takes the file, and a thread sends it on to the store.

As Flask's page on uploads has it: the form's file is saved under a name of the application's own.
For gunicorn, `FACTORY` below; settings come in the environment, as `OLD_WAY_…`. The threads that
send on are a few in all, kinder than one for every file.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from botocore.config import Config
from flask import Flask, Response, jsonify, request

FACTORY = "benchmarks.peers.flask_relay:create()"
# As gunicorn's documentation has it for threads: each worker takes so many requests at once.
GUNICORN = ("--worker-class", "gthread", "--workers", "2", "--threads", "8")
_SENDING_THREADS = 4  # of each worker; each `upload_file` has ten more of its own
_CONNECTIONS = 40


def create() -> Flask:
    app = Flask(__name__)
    folder = Path(os.environ["OLD_WAY_FOLDER"])
    bucket = os.environ["OLD_WAY_BUCKET"]
    sending = ThreadPoolExecutor(_SENDING_THREADS)
    store = _store()

    def send_on(path: Path) -> None:
        try:
            store.upload_file(str(path), bucket, f"old-way/{path.name}")
        finally:
            path.unlink()

    @app.post("/upload")
    def upload() -> tuple[Response, int]:
        path = folder / uuid4().hex
        request.files["file"].save(path)
        sending.submit(send_on, path)
        return jsonify(id=path.name), 202

    @app.get("/livez")
    def livez() -> Response:
        return jsonify(status="ok")

    return app


def _store() -> Any:
    """One client for all threads, as boto3's documentation allows."""
    return boto3.client(
        "s3",
        endpoint_url=os.environ["OLD_WAY_ENDPOINT"],
        region_name=os.environ["OLD_WAY_REGION"],
        aws_access_key_id=os.environ["OLD_WAY_KEY"],
        aws_secret_access_key=os.environ["OLD_WAY_SECRET"],
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=_CONNECTIONS),
    )


def environment(folder: Path, endpoint: str, region: str, bucket: str) -> dict[str, str]:
    """Without the two that hold secrets: `OLD_WAY_KEY` and `OLD_WAY_SECRET`."""
    return {
        "OLD_WAY_FOLDER": str(folder),
        "OLD_WAY_ENDPOINT": endpoint,
        "OLD_WAY_REGION": region,
        "OLD_WAY_BUCKET": bucket,
    }
