"""What may be configured, and what the store is told of it."""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from localcloud.cognito.errors import TooManyRequestsException
from localcloud.cognito.quota import Quota
from localcloud.config import LocalCloudConfig
from localcloud.errors import InvalidConfigError, StoreBinaryMissingError
from localcloud.ports import StorePorts
from localcloud.secrets_file import Secrets
from localcloud.store.binary import find_weed
from localcloud.store.command import store_command, store_environment
from localcloud.store.configuration import write_configuration

PORTS = StorePorts(
    master=1, master_grpc=2, volume=3, volume_grpc=4, filer=5, filer_grpc=6, s3=7, s3_grpc=8
)


@pytest.mark.parametrize(
    "changed",
    [
        {"bucket": "a"},
        {"bucket": "*-bucket"},
        {"bucket": "Upper"},
        {"region": "mars"},
        {"developer_provider_name": "a b"},
        {"developer_provider_name": ""},
        {"session_seconds": 0},
        {"session_seconds": 43_201},
        {"role": "admin"},
        {"max_developer_rps": 0},
        {"s3_port": -1},
        {"cognito_port": 65_536},
        {"webhook_url": "ftp://x"},
        {"cors_origins": ("*",)},
        {"cors_origins": ("http://a,http://b",)},
        {"cors_origins": ("http://a/",)},
    ],
)
def test_what_is_out_of_range_is_named(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfigError, match=next(iter(changed))):
        LocalCloudConfig(**changed)


def written(data_dir: Path, **changed: Any) -> dict[str, Any]:
    write_configuration(
        data_dir,
        LocalCloudConfig(**changed),
        Secrets.kept_in(data_dir / "secrets.json"),
        pool_id="us-east-1:abc",
        jwks_url="http://127.0.0.1:1/jwks",
    )
    parsed: dict[str, Any] = {
        file.name: json.loads(file.read_bytes()) for file in data_dir.glob("*.json")
    }
    return parsed | {file.name: tomllib.loads(file.read_text()) for file in data_dir.glob("*.toml")}


def test_the_default_role_only_writes(tmp_path: Path) -> None:
    (policy,) = written(tmp_path)["iam.json"]["policies"]
    (statement,) = policy["document"]["Statement"]
    assert statement["Resource"] == ["arn:aws:s3:::uploads/${jwt:sub}/*"]
    assert statement["Action"] == [
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
    ]


def test_reading_is_of_ones_own_folder(tmp_path: Path) -> None:
    (policy,) = written(tmp_path, role="read-write")["iam.json"]["policies"]
    objects, listing = policy["document"]["Statement"]
    assert "s3:GetObject" in objects["Action"]
    assert objects["Resource"] == ["arn:aws:s3:::uploads/${jwt:sub}/*"]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["${jwt:sub}/*"]}}


def test_no_origin_means_none(tmp_path: Path) -> None:
    security = written(tmp_path)["security.toml"]
    assert security["cors"]["allowed_origins"]["values"] == "http://none.invalid"


def test_the_webhook_is_off_or_carries_its_token(tmp_path: Path) -> None:
    assert written(tmp_path)["notification.toml"]["notification"]["webhook"] == {"enabled": False}
    files = written(tmp_path, webhook_url="http://127.0.0.1:8080/v1/webhooks/seaweedfs")
    webhook = files["notification.toml"]["notification"]["webhook"]
    assert webhook["bearer_token"] == files["secrets.json"]["webhook_token"]
    assert webhook["path_prefixes"] == ["/buckets/uploads/us-east-1:", "/buckets/uploads/users/"]


def test_every_inner_door_is_locked(tmp_path: Path) -> None:
    security = written(tmp_path)["security.toml"]
    for part in ("master", "volume", "filer"):
        assert security["https"][part]["ca"] == "tls/ca.pem"
        assert security["grpc"][part]["key"] == "tls/node.key"
    assert len({security["jwt"][part]["key"] for part in ("signing", "filer_signing")}) == 2


def test_the_command_carries_no_secret_and_every_port(tmp_path: Path) -> None:
    secrets = Secrets.kept_in(tmp_path / "secrets.json")
    command = store_command(
        Path("weed"), PORTS, instance=secrets.instance, origins="http://none.invalid"
    )
    assert "-s3.port=7" in command
    assert "-s3.port.grpc=8" in command
    assert sum(".port" in argument for argument in command) == 10
    assert not [
        argument for argument in command if "metrics" in argument and "master" not in argument
    ]
    assert not [argument for argument in command if "audit" in argument]
    assert not set(store_environment(tmp_path)) - {"PATH", "HOME", "TMPDIR"}


def test_the_audit_log_is_written_when_asked_for() -> None:
    command = store_command(Path("weed"), PORTS, instance="i", origins="o", audited=True)
    assert "-s3.auditLogConfig=audit.json" in command


def test_a_missing_store_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreBinaryMissingError, match="extra `local`"):
        find_weed()


def test_the_quota_has_a_burst_of_a_second() -> None:
    quota = Quota(3)
    for _ in range(3):
        quota.spend()
    with pytest.raises(TooManyRequestsException, match="Rate exceeded"):
        quota.spend()


def test_without_a_quota_nothing_is_refused() -> None:
    quota = Quota(None)
    for _ in range(1000):
        quota.spend()
