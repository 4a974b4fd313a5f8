"""The uploads' parts, wired to the fakes."""

from datetime import timedelta
from typing import Any

from service.uploads.creation import Creation, PartSizes, Timing
from service.uploads.downloads import Downloads
from service.uploads.model import Transport, Upload, UploadStatus
from service.uploads.plan import MIB
from service.uploads.relay import Relay
from service.uploads.transfers import Transfers
from service.uploads.transports import Transports
from service.uploads.uploads import Uploads
from service.uploads.verdicts import Verdicts
from tests.fakes.completion import LEASE, OVERDUE, URL_LIFE, World
from tests.fakes.owners import OneOwner
from tests.fakes.records import BUCKET, upload
from tests.fakes.signer import ReadableSigner
from tests.fakes.sink import MemorySink

ADA, EVE = "usr_ada", "usr_eve"
LIFE = timedelta(days=7)
MOST_RELAYS = 2
PART = 8 * MIB
THREE_PARTS = 2 * PART + 5


def in_parts(**changes: Any) -> Upload:
    """Two parts of 8 MiB and one of 5 bytes, under way by presigned addresses."""
    values: dict[str, Any] = {
        "status": UploadStatus.UPLOADING,
        "transport": Transport.PRESIGNED,
        "transport_reason": "requested",
        "declared_size": THREE_PARTS,
        "charged": THREE_PARTS,
        "part_size": PART,
        "part_count": 3,
        "multipart_id": "mp_1",
    }
    return upload(**{**values, **changes})


class UploadWorld(World):
    """One replica's uploads. `rows` are there already, the multiparts they name as well."""

    def __init__(self, *rows: Upload, folders: OneOwner | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.folders = folders or OneOwner()
        self.keys = self.records.keys
        self.signer = ReadableSigner(self.clock)
        self.sink = MemorySink(self.store, self.multiparts)
        for row in rows:
            self.records.rows[row.id] = row
            if row.multipart_id is not None:
                made = self.multiparts.under_way[self.multiparts.begin(row.key, row.id)]
                made.algorithm = row.part_checksum
        self._wire()

    def _wire(self) -> None:
        shared: Any = {"records": self.records, "clock": self.clock}
        kept: Any = {**shared, "keeper": self.keeper, "policy": self.policy}
        self.transports = Transports(folders=self.folders, policy=self.policy)
        self.creation = Creation(
            **kept,
            keys=self.keys,
            transports=self.transports,
            bucket=BUCKET,
            timing=Timing(expires=LIFE, overdue=OVERDUE, lease=LEASE),
            part_sizes=PartSizes(threshold=PART, preferred=PART),
        )
        self.transfers = Transfers(
            **kept,
            multiparts=self.multiparts,
            signer=self.signer,
            transports=self.transports,
            url_life=URL_LIFE,
        )
        self.relay = Relay(
            transfers=self.transfers,
            keeper=self.keeper,
            signer=self.signer,
            sink=self.sink,
            completing=self.completing,
            most_of_one_user=MOST_RELAYS,
        )
        self.uploads = Uploads(**shared, store=self.store, keeper=self.keeper, overdue=OVERDUE)
        self.verdicts = Verdicts(**shared, store=self.store)
        self.downloads = Downloads(
            **shared,
            store=self.store,
            signer=self.signer,
            policy=self.policy,
            url_life=URL_LIFE,
        )

    def row(self, upload_id: str = "upl_1") -> Upload:
        return self.records.rows[upload_id]

    def send(self, *numbers: int, multipart_id: str = "mp_1") -> None:
        """Parts of the plan of `in_parts` arrive at the store."""
        for number in numbers:
            self.multiparts.put(multipart_id, number, 5 if number == 3 else PART)
