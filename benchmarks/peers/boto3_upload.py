"""One file by boto3's own `upload_file`, as its documentation has it; a process of its own.

FILE BUCKET KEY, then what is set besides, in JSON: `{"max_concurrency": …}` goes to TransferConfig,
under `config` to the client's. Keys, Region and endpoint are the environment's.
"""

import json
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config


def main() -> None:
    path, bucket, key, told = sys.argv[1:]
    options = json.loads(told)
    config = Config(s3={"addressing_style": "path"}, **options.pop("config", {}))
    transfer = TransferConfig(preferred_transfer_client="classic", **options)
    boto3.client("s3", config=config).upload_file(path, bucket, key, Config=transfer)


if __name__ == "__main__":
    main()
