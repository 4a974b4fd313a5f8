"""`python -m localcloud`: the embedded cloud alone, until Ctrl-C or SIGTERM."""

import argparse
import asyncio
import logging
import shlex
import signal
import sys
from pathlib import Path

from localcloud.cloud import LocalCloud, LocalCloudConfig
from localcloud.errors import LocalCloudError
from localcloud.private_files import write_private

_ENVIRONMENT_FILE = "environment.sh"


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop. Gives the exit code: 0, or 1 with the reason on standard error."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # One line for every request to the STS is nobody's interest here.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(_config(_parser().parse_args(arguments))))
    except LocalCloudError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _serve(config: LocalCloudConfig) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with LocalCloud.running(config) as cloud:
        file = await asyncio.to_thread(_write_environment, config.data_dir, cloud)
        sys.stdout.write(_announcement(cloud, file))
        sys.stdout.flush()
        await stopped.wait()


def _write_environment(data_dir: Path, cloud: LocalCloud) -> Path:
    settings = cloud.environment().items()
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in settings]
    file = data_dir.expanduser().resolve() / _ENVIRONMENT_FILE
    write_private(file, "".join(lines))
    return file


def _announcement(cloud: LocalCloud, file: Path) -> str:
    return (
        f"S3 and STS      {cloud.s3_endpoint}\n"
        f"Cognito         {cloud.cognito_endpoint}\n"
        f"identity pool   {cloud.identity_pool_id}\n"
        f"bucket          {cloud.bucket} ({cloud.region})\n"
        f"settings        . {shlex.quote(str(file))}\n"
    )


def _config(given: argparse.Namespace) -> LocalCloudConfig:
    return LocalCloudConfig(
        data_dir=given.data_dir,
        bucket=given.bucket,
        webhook_url=given.webhook_url,
        cors_origins=tuple(given.origin),
        session_seconds=given.session_seconds,
        role=given.role,
        s3_port=given.s3_port,
        cognito_port=given.cognito_port,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localcloud", description=__doc__)
    add = parser.add_argument
    add("--data-dir", type=Path, default=Path(".localcloud"), help="where everything is kept")
    add("--bucket", default="uploads")
    add("--webhook-url", help="where the store posts its events")
    add("--origin", action="append", default=[], help="a page that may upload; repeatable")
    add("--session-seconds", type=int, default=3600, help="the life of temporary keys")
    add("--role", choices=("write-only", "read-write"), default="write-only")
    add("--s3-port", type=int, default=8333, help="preferred; 0 is any")
    add("--cognito-port", type=int, default=8334, help="preferred; 0 is any")
    return parser


if __name__ == "__main__":
    sys.exit(main())
