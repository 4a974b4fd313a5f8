"""The text of an event, which is stored, sent and signed as it is."""

import json
from dataclasses import replace

from service.delivery.events import upload_happening
from service.uploads.model import UploadStatus
from tests.fakes.clock import START
from tests.fakes.records import upload


def test_letters_of_any_language_are_written_as_they_are() -> None:
    """Escaped, most of them would take three times the bytes."""
    made = replace(upload(status=UploadStatus.COMPLETED), filename="é 日本語 🎉.txt")
    payload = upload_happening(None, made, START).payload(1)
    assert '"filename":"é 日本語 🎉.txt"' in payload
    assert json.loads(payload)["data"]["upload"]["filename"] == made.filename
