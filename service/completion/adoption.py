"""Records for objects that came without one: from the AWS CLI, rclone and other stock clients."""

import fnmatch
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.completion.ports import Owners
from service.uploads.filenames import unshowable
from service.uploads.model import Origin, Transport, Upload, UploadStatus
from service.uploads.ports import StoredObject


@dataclass(frozen=True, slots=True)
class AdoptionRules:
    """`skips` are shell patterns on the path within a user's folder (derived files)."""

    enabled: bool = True
    skips: Sequence[str] = ()

    def take(self, path: str) -> bool:
        return self.enabled and not any(fnmatch.fnmatchcase(path, skip) for skip in self.skips)


MAX_CONTENT_TYPE = 255
_UNKNOWN_TYPE = "application/octet-stream"


class Adoption:
    def __init__(self, owners: Owners, rules: AdoptionRules, profile: str) -> None:
        self._owners = owners
        self._rules = rules
        self._profile = profile

    async def record_for(
        self, bucket: str, key: str, stored: StoredObject, now: datetime, generation: int
    ) -> Upload | None:
        """A record in state `received`, or None where the object is nobody's or is skipped."""
        owned = await self._owners.owner_of(key)
        if owned is None or not self._rules.take(owned[1]):
            return None
        user_id, path = owned
        return Upload(
            id=f"upl_{uuid.uuid4().hex}",
            user_id=user_id,
            status=UploadStatus.RECEIVED,
            origin=Origin.ADOPTED,
            transport=Transport.CREDENTIALS,
            transport_reason="adopted",
            profile=self._profile,
            filename=_shown(path.rsplit("/", 1)[-1] or path),
            content_type=_content_type(stored),
            bucket=bucket,
            key=key,
            size=stored.size,
            charged=stored.size,
            etag=stored.etag,
            version_id=stored.version_id,
            checksum=stored.checksum,
            created_at=now,
            updated_at=now,
            expires_at=now,
            # Should this process end before the verdict, the sweep goes on from here.
            next_look_at=now,
            metadata={},
            generation=generation,
        )


def _content_type(stored: StoredObject) -> str:
    """The client chose it, of any bytes; one that no record holds says nothing anyway."""
    said = stored.content_type
    fits = len(said) <= MAX_CONTENT_TYPE and said.isascii() and said.isprintable()
    return said if fits else _UNKNOWN_TYPE


def _shown(name: str) -> str:
    """A name to show: control characters and direction overrides of the key are marked."""
    return "".join("\ufffd" if unshowable(char) else char for char in name)
