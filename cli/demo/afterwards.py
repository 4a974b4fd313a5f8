"""What can be done while the demo goes on serving: addresses, a user, lines to paste."""

import shlex
import sys
from pathlib import Path

from cli.demo.keepsakes import USERNAME
from cli.demo.stage import Stage
from cli.demo.teller import Teller


def tell(stage: Stage, password: str, file: Path, prefix: str, teller: Teller) -> None:
    cloud, keepsakes = stage.cloud, stage.keepsakes
    program = f"{shlex.quote(sys.executable)} -m cli.main"
    process = f"{program} credentials --session {shlex.quote(str(keepsakes.session))}"
    keepsakes.write_aws_config(process, cloud.s3_endpoint, cloud.region)
    teller.rows(
        "Still serving, until Ctrl-C",
        {
            "API": f"{stage.url}/docs",
            "S3": cloud.s3_endpoint,
            "Cognito": cloud.cognito_endpoint,
            "user": USERNAME,
            "password": password,
            "logs": f"{keepsakes.service_log}, {keepsakes.data_dir / 'weed.log'}",
        },
    )
    _curl(stage.url, password, teller)
    _aws(stage, file, prefix, teller)


def _curl(url: str, password: str, teller: Teller) -> None:
    body = f'{{"username":"{USERNAME}","password":"{password}"}}'
    read = 'import json,sys; print(json.load(sys.stdin)["access_token"])'
    teller.say("\nWith curl: log in, then list the uploads", "bold")
    teller.say(
        f"  TOKEN=$(curl -s {url}/v1/auth/login -H 'Content-Type: application/json' "
        f"-d '{body}' | python3 -c '{read}')\n"
        f'  curl -s {url}/v1/uploads -H "Authorization: Bearer $TOKEN"'
    )


def _aws(stage: Stage, file: Path, prefix: str, teller: Teller) -> None:
    config = shlex.quote(str(stage.keepsakes.aws_config))
    teller.say("\nWith the AWS CLI: `uploadgate credentials` is its credential_process", "bold")
    teller.say(
        f"  AWS_CONFIG_FILE={config} aws --profile uploadgate s3 cp {shlex.quote(str(file))} "
        f"s3://{stage.cloud.bucket}/{prefix}"
    )
