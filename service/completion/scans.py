"""Verdicts of a scanner that tags the objects it has looked at."""

from service.uploads.model import Upload
from service.uploads.ports import StoredObject
from service.uploads.verdicts import Verdict


class Scans:
    async def look(self, record: Upload, stored: StoredObject) -> Verdict | None:
        raise NotImplementedError
