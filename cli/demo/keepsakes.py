"""What the demo keeps between runs, beside the store's own data: all for its owner only."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

USERNAME = "demo"
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Keepsakes:
    """Paths in the demo's data directory, which exists and is locked by the store already."""

    data_dir: Path

    @property
    def database(self) -> Path:
        return self.data_dir / "uploadgate.db"

    @property
    def session(self) -> Path:
        return self.data_dir / "session.json"

    @property
    def aws_config(self) -> Path:
        return self.data_dir / "aws-config"

    @property
    def service_log(self) -> Path:
        return self.data_dir / "service.log"

    @property
    def service_pid(self) -> Path:
        return self.data_dir / "service.pid"

    def password(self) -> str:
        return self._secret("demo-password", 12)

    def signing_key(self) -> str:
        return self._secret("signing-key", 48)

    def file_of(self, size: int) -> Path:
        """A file of fresh random bytes, so that nothing on the way can deduplicate or compress."""
        path = self.data_dir / f"demo-{size // _CHUNK}MiB.bin"
        with path.open("wb") as file:
            for start in range(0, size, _CHUNK):
                file.write(os.urandom(min(_CHUNK, size - start)))
        return path

    def write_aws_config(self, credential_process: str, s3_endpoint: str, region: str) -> None:
        self.aws_config.write_text(
            "[profile uploadgate]\n"
            f"credential_process = {credential_process}\n"
            f"endpoint_url = {s3_endpoint}\n"
            f"region = {region}\n"
            "s3 =\n    addressing_style = path\n",
            encoding="utf-8",
        )

    def _secret(self, name: str, length: int) -> str:
        path = self.data_dir / name
        if not path.exists():
            handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(length))
        return path.read_text("ascii")
