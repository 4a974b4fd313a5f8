"""No test sees this machine's AWS variables, files or metadata service."""

import os

import pytest


def without_ambient_aws(patch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        ours = name.startswith(("AWS_", "UPLOADGATE_", "REQUESTS_CA_"))
        if ours or name.lower().endswith("_proxy"):
            patch.delenv(name)
    patch.setenv("AWS_CONFIG_FILE", os.devnull)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
