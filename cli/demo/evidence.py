"""Who brought the news that an upload had arrived: read from the service's own log."""

import re
from pathlib import Path

_DELIVERY = re.compile(r"/v1/webhooks/seaweedfs\b.*\b200\b|\b200\b.*/v1/webhooks/seaweedfs\b")


class ServiceLog:
    """What the service writes from now on. Only words are looked for, whatever its log format."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = path.stat().st_size

    def deliveries_before_completion(self, upload_id: str) -> int:
        """Webhooks of the store that the service accepted before it completed that upload."""
        lines = self._lines()
        ends = [n for n, line in enumerate(lines) if "upload.completed" in line]
        ends = [n for n in ends if upload_id in lines[n]] or [len(lines)]
        return sum(1 for line in lines[: ends[0]] if _DELIVERY.search(line))

    def _lines(self) -> list[str]:
        with self._path.open("rb") as log:
            log.seek(self._start)
            return log.read().decode(errors="replace").splitlines()
