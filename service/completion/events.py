"""What a source says happened at the store, in one shape for all sources.

A source's word only wakes the service: what counts is what the store itself answers to a HEAD.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Source = Literal["seaweedfs", "sns", "eventbridge", "sqs", "sweep"]
EventId = tuple[str, str]
"""Source and dedupe key."""


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """An object was written. `key` is decoded, `etag` is without quotes.

    `dedupe_key` is never empty and the same for every delivery of one event; the inbox takes it
    once. `sequencer` orders events of one key (S3 only). `raw` is the source's own JSON of this
    one event, kept for the timeline.
    """

    source: Source
    dedupe_key: str
    bucket: str
    key: str
    size: int | None = None
    etag: str | None = None
    version_id: str | None = None
    sequencer: str | None = None
    event_time: datetime | None = None
    raw: str = ""

    @property
    def id(self) -> EventId:
        return self.source, self.dedupe_key


def dedupe_key(*parts: object) -> str:
    """A key of fixed length from parts of any: keys run to 1,024 bytes, index entries do not."""
    joined = "\n".join("" if part is None else str(part) for part in parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()
