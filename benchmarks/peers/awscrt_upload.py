"""One file by awscrt's S3 client under s3transfer's manager for it; a process of its own.

FILE BUCKET KEY. Put together from s3transfer's own parts as boto3 does where a machine is one of
those it prefers this client on; boto3 itself passes on neither an endpoint nor that it is without
TLS. Keys, Region and endpoint are the environment's.
"""

import os
import sys

import botocore.session
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)


def main() -> None:
    path, bucket, key = sys.argv[1:]
    region, endpoint = os.environ["AWS_DEFAULT_REGION"], os.environ["AWS_ENDPOINT_URL_S3"]
    session = botocore.session.Session()
    keys = BotocoreCRTCredentialsWrapper(session.get_credentials())
    client = create_s3_crt_client(
        region, keys.to_crt_credentials_provider(), use_ssl=endpoint.startswith("https:")
    )
    serializer = BotocoreCRTRequestSerializer(
        session, {"region_name": region, "endpoint_url": endpoint}
    )
    with CRTTransferManager(client, serializer) as manager:
        manager.upload(path, bucket, key).result()


if __name__ == "__main__":
    main()
