"""What can be done while the demo goes on serving: addresses, a user, lines to paste."""

import json
import shlex
import sys
from pathlib import Path

from cli.demo.application import WHAT, Application
from cli.demo.keepsakes import USERNAME
from cli.demo.service import LOOPBACK, variables
from cli.demo.stage import Stage
from cli.demo.teller import Teller
from client.wire import Upload

_PROGRAM = f"{shlex.quote(sys.executable)} -m cli.main"
_BEARER = '-H "Authorization: Bearer $TOKEN"'


def tell(
    stage: Stage,
    teller: Teller,
    *,
    password: str,
    file: Path,
    last: Upload,
    application: Application,
) -> None:
    cloud, keepsakes = stage.cloud, stage.keepsakes
    teller.rows(
        "Still serving, until Ctrl-C",
        {
            "API": f"{stage.url}/docs",
            "S3": cloud.s3_endpoint,
            "Cognito": cloud.cognito_endpoint,
            "webhooks": f"{WHAT} goes on listening at {application.url}",
            "user": USERNAME,
            "password": password,
            "logs": f"{keepsakes.service_log}, {keepsakes.data_dir / 'weed.log'}",
            "": "(a POST /v1/uploads with 422 before each file is the demo's own: it puts to the "
            "test the count of what the service reads)",
        },
    )
    _curl(stage.url, password, last, teller)
    _webhooks(stage, application, teller)
    _aws(stage, file, last.key.partition("/")[0] + "/", teller)


def _curl(url: str, password: str, last: Upload, teller: Teller) -> None:
    body = json.dumps({"username": USERNAME, "password": password})
    read = 'import json,sys; print(json.load(sys.stdin)["access_token"])'
    teller.say("\nWith curl: log in, list the uploads, see why one is where it is, hear", "bold")
    teller.say(
        f"  TOKEN=$(curl -s {url}/v1/auth/login -H 'Content-Type: application/json' "
        f"-d {shlex.quote(body)} | python3 -c '{read}')\n"
        f"  curl -s {url}/v1/uploads {_BEARER}\n"
        f"  curl -s {url}/v1/uploads/{last.id}/timeline {_BEARER}\n"
        f"  curl -N {url}/v1/events {_BEARER}"
    )


def _webhooks(stage: Stage, application: Application, teller: Teller) -> None:
    """A function, so that nothing of it stays in the shell's environment."""
    given = " ".join(
        f"{name}={shlex.quote(value)}" for name, value in variables(stage.keepsakes).items()
    )
    teller.say(
        "\nWith `uploadgate webhook`, on the service's database: whom it tells, and how it went",
        "bold",
    )
    teller.say(
        f'  gate() {{ {given} {_PROGRAM} "$@"; }}\n'
        "  gate webhook list\n"
        f"  gate webhook deliveries {application.endpoint_id}\n"
        f"  gate webhook replay {application.endpoint_id} --since 1h\n"
        f"  gate webhook add http://{LOOPBACK}:9000/hook    # another one, of yours"
    )


def _aws(stage: Stage, file: Path, prefix: str, teller: Teller) -> None:
    cloud, keepsakes = stage.cloud, stage.keepsakes
    process = f"{_PROGRAM} credentials --session {shlex.quote(str(keepsakes.session))}"
    keepsakes.write_aws_config(process, cloud.s3_endpoint, cloud.region)
    config = shlex.quote(str(keepsakes.aws_config))
    teller.say("\nWith the AWS CLI: `uploadgate credentials` is its credential_process", "bold")
    teller.say(
        f"  AWS_CONFIG_FILE={config} aws --profile uploadgate s3 cp {shlex.quote(str(file))} "
        f"s3://{cloud.bucket}/{prefix}"
    )
