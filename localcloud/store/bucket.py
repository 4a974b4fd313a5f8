"""The bucket with its CORS rule, its lifecycle rule and its policy."""

import json
import os
import time
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from localcloud.errors import StoreStartError
from localcloud.store.policies import bucket_policy

# What a page's transfer client has to read; a browser hides every header that is not named.
_EXPOSED = (
    "ETag",
    "Date",
    "Location",
    "x-amz-version-id",
    "x-amz-request-id",
    "x-amz-id-2",
    "x-amz-checksum-type",
    *(f"x-amz-checksum-{name}" for name in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")),
)
# A profile of the developer's may be missing, or say things that are meant for AWS.
_NO_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
_CORS_MAX_AGE_SECONDS = 600
_ABORT_AFTER_DAYS = 7
_RETRY_SECONDS = 0.1


def prepare_bucket(client: Any, bucket: str, origins: tuple[str, ...], *, patience: float) -> bool:
    """Make the bucket and its rules what they should be; tells whether the bucket is new.

    Blocking. Repeats for `patience` seconds: the store's S3 answers before its other parts have
    found each other. StoreStartError when that is not enough.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return _prepare(client, bucket, origins)
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                raise StoreStartError(f"the bucket {bucket} cannot be made: {error}") from error
            time.sleep(_RETRY_SECONDS)


def s3_client(endpoint: str, region: str, access_key_id: str, secret_access_key: str) -> Any:
    """Build a blocking client that knows nothing of the machine's AWS configuration."""
    session = Session(_NO_FILES)
    return session.create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=10,
            read_timeout=20,
            retries={"total_max_attempts": 1},
            proxies={},
        ),
    )


def _prepare(client: Any, bucket: str, origins: tuple[str, ...]) -> bool:
    names = {entry["Name"] for entry in client.list_buckets()["Buckets"]}
    is_new = bucket not in names
    if is_new:
        client.create_bucket(Bucket=bucket)
    if origins:
        client.put_bucket_cors(
            Bucket=bucket, CORSConfiguration={"CORSRules": [_cors_rule(origins)]}
        )
    else:
        client.delete_bucket_cors(Bucket=bucket)
    rules = {"Rules": [_lifecycle_rule()]}
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(bucket_policy(bucket)))
    return is_new


def _cors_rule(origins: tuple[str, ...]) -> dict[str, object]:
    return {
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "PUT", "POST", "DELETE", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": list(_EXPOSED),
        "MaxAgeSeconds": _CORS_MAX_AGE_SECONDS,
    }


def _lifecycle_rule() -> dict[str, object]:
    return {
        "ID": "abort-incomplete-multiparts",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _ABORT_AFTER_DAYS},
    }
