"""From the bytes of the store's audit log to what it says: one JSON array after another."""

import codecs
import json
from collections.abc import Iterator
from typing import Any

from localcloud.store.counts import Answered

# Far above what one entry takes: its longest texts are a key and a User-Agent.
_MAX_ENTRY_CHARS = 1 << 20
_DECODER = json.JSONDecoder()


class EntryStream:
    """Cuts a stream into entries, wherever the chunks that it arrives in may end."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text = ""

    def feed(self, data: bytes) -> Iterator[Answered]:
        """Give the entries that are whole now. ValueError for what is no audit log."""
        self._text += self._decode(data)
        for entry in self._whole():
            yield Answered.from_entry(entry)
        if len(self._text) > _MAX_ENTRY_CHARS:
            raise ValueError("an entry without an end")

    def _whole(self) -> Iterator[Any]:
        start = 0
        while start < len(self._text):
            try:
                entry, start = _DECODER.raw_decode(self._text, start)
            except json.JSONDecodeError:
                break
            yield entry
        self._text = self._text[start:]
