"""The embedded default: a real S3 server with STS, and a Cognito Identity API in front of it."""

from localcloud.cloud import LocalCloud
from localcloud.cognito.server import CognitoServer
from localcloud.config import LocalCloudConfig
from localcloud.errors import (
    CountsUnavailableError,
    DataDirError,
    InvalidConfigError,
    LocalCloudError,
    PortsExhaustedError,
    StoreBinaryMissingError,
    StoreStartError,
)
from localcloud.ports import StorePorts

__all__ = [
    "CognitoServer",
    "CountsUnavailableError",
    "DataDirError",
    "InvalidConfigError",
    "LocalCloud",
    "LocalCloudConfig",
    "LocalCloudError",
    "PortsExhaustedError",
    "StoreBinaryMissingError",
    "StorePorts",
    "StoreStartError",
]
