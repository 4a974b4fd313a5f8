"""Everything secret or once-for-all of one data directory: generated at the first run, kept."""

import base64
import json
import secrets
import uuid
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Self

from localcloud.errors import DataDirError
from localcloud.private_files import write_private


def _random() -> str:
    return secrets.token_urlsafe(32)


def _access_key_id() -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    return "AKIA" + "".join(secrets.choice(alphabet) for _ in range(16))


def _sts_signing_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Secrets:
    """The keys of the service and of the store's parts; the ids of pool and instance.

    `instance` marks this directory's processes, and is no secret.
    """

    instance: str = field(default_factory=lambda: f"localcloud-{secrets.token_hex(8)}")
    pool_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    service_access_key_id: str = field(default_factory=_access_key_id)
    service_secret_access_key: str = field(default_factory=_random)
    webhook_token: str = field(default_factory=_random)
    sts_signing_key: str = field(default_factory=_sts_signing_key)
    volume_write_key: str = field(default_factory=_random)
    volume_read_key: str = field(default_factory=_random)
    filer_write_key: str = field(default_factory=_random)
    filer_read_key: str = field(default_factory=_random)

    @classmethod
    def kept_in(cls, path: Path) -> Self:
        """Read the file, or generate and write it. DataDirError when it is damaged."""
        if not path.exists():
            fresh = cls()
            write_private(path, json.dumps(asdict(fresh), indent=1))
            return fresh
        try:
            found = json.loads(path.read_bytes())
            return cls(**{entry.name: str(found[entry.name]) for entry in fields(cls)})
        except (ValueError, KeyError, TypeError) as error:
            raise DataDirError(f"{path} is damaged; remove its directory to start anew") from error
