"""The store's configuration files.

Each is written even where it says nothing: the store looks in the working directory first and
then in the user's and the machine's directories, whose settings must not leak in.
"""

import json
from pathlib import Path

from localcloud.certificates import CA, CERTIFICATE, KEY, ensure_certificates
from localcloud.config import LocalCloudConfig
from localcloud.private_files import private_directory, write_private
from localcloud.secrets_file import Secrets
from localcloud.store.policies import iam_config

IAM_FILE, IDENTITIES_FILE, OBJECTS, TLS = "iam.json", "s3.json", "data", "tls"
AUDIT_FILE = "audit.json"
# `.invalid` resolves nowhere (RFC 2606). An empty list would mean every page.
NO_ORIGIN = "http://none.invalid"
# S3 alone speaks plain HTTP: it checks every request's signature, and pages come to it.
_HTTP_PARTS = ("master", "volume", "filer")
_GRPC_PARTS = ("master", "volume", "filer", "s3", "client", "admin", "worker")


def write_configuration(
    data_dir: Path,
    config: LocalCloudConfig,
    secrets: Secrets,
    *,
    pool_id: str,
    jwks_url: str,
) -> None:
    """Write everything that the store reads at its start into `data_dir`, mode 0600."""
    ensure_certificates(data_dir / TLS)
    private_directory(data_dir / OBJECTS)
    iam = iam_config(
        bucket=config.bucket,
        role=config.role,
        pool_id=pool_id,
        jwks_url=jwks_url,
        session_seconds=config.session_seconds,
        signing_key=secrets.sts_signing_key,
    )
    files = {
        IAM_FILE: json.dumps(iam, indent=1),
        IDENTITIES_FILE: json.dumps(_identities(secrets), indent=1),
        "security.toml": _security(secrets, allowed_origins(config)),
        "notification.toml": _notification(config, secrets),
        "filer.toml": f"[leveldb2]\nenabled = true\ndir = {_quoted(f'{OBJECTS}/filerldb2')}\n",
        "master.toml": '[master.sequencer]\ntype = "raft"\n',
        "volume.toml": "",
        "credential.toml": "",
        "shell.toml": "",
    }
    for name, content in files.items():
        write_private(data_dir / name, content)


def allowed_origins(config: LocalCloudConfig) -> str:
    """The origins as the store's comma-separated list, never empty."""
    return ",".join(config.cors_origins) or NO_ORIGIN


def _identities(secrets: Secrets) -> dict[str, object]:
    key = {
        "accessKey": secrets.service_access_key_id,
        "secretKey": secrets.service_secret_access_key,
    }
    return {"identities": [{"name": "service", "credentials": [key], "actions": ["Admin"]}]}


def _security(secrets: Secrets, origins: str) -> str:
    """Close the inner doors: mutual TLS on all of them, and signed requests behind it."""
    tables = {
        "cors.allowed_origins": {"values": origins},
        "jwt.signing": {"key": secrets.volume_write_key},
        "jwt.signing.read": {"key": secrets.volume_read_key},
        "jwt.filer_signing": {"key": secrets.filer_write_key},
        "jwt.filer_signing.read": {"key": secrets.filer_read_key},
        "grpc": {"ca": f"{TLS}/{CA}"},
        **{f"grpc.{part}": _pair() for part in _GRPC_PARTS},
        **{f"https.{part}": _mutual() for part in _HTTP_PARTS},
        "https.client": {"enabled": "true", **_mutual()},
    }
    return "\n".join(_table(name, values) for name, values in tables.items())


def _mutual() -> dict[str, str]:
    return {**_pair(), "ca": f"{TLS}/{CA}"}


def _pair() -> dict[str, str]:
    return {"cert": f"{TLS}/{CERTIFICATE}", "key": f"{TLS}/{KEY}"}


def _told_of(config: LocalCloudConfig) -> list[str]:
    """The users' folders only: the scratch entries of multiparts lie beside them, two or three
    a part, and nobody waits for those.
    """
    bucket = f"/buckets/{config.bucket}"
    return [f"{bucket}/{config.region}:", f"{bucket}/users/"]


def _notification(config: LocalCloudConfig, secrets: Secrets) -> str:
    if config.webhook_url is None:
        return "[notification.webhook]\nenabled = false\n"
    return (
        "[notification.webhook]\nenabled = true\n"
        f"endpoint = {_quoted(config.webhook_url)}\n"
        f"bearer_token = {_quoted(secrets.webhook_token)}\n"
        'event_types = ["create", "update", "delete", "rename"]\n'
        f"path_prefixes = [{', '.join(_quoted(prefix) for prefix in _told_of(config))}]\n"
    )


def _table(name: str, values: dict[str, str]) -> str:
    return "\n".join((f"[{name}]", *(f"{key} = {_quoted(text)}" for key, text in values.items())))


def _quoted(text: str) -> str:
    # JSON's string escapes are a subset of those of a TOML basic string.
    return json.dumps(text)
