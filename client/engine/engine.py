"""The engine: files from this machine to completed records, by the best transport there is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from client.api import Api
from client.engine.answers import CutError, RefusedError, UnreachableError
from client.engine.body import Source
from client.engine.by_keys import passing
from client.engine.checksums import Wanted, whole_file
from client.engine.completion import settled
from client.engine.events import OnEvent, Progress, ignore
from client.engine.journey import Journey
from client.engine.key_ring import KeyRing
from client.engine.local_file import LocalFile
from client.engine.means import Means
from client.engine.pace import Pace
from client.engine.records import Asked, Records
from client.engine.sending import Sender
from client.engine.threads import Threads
from client.engine.tuning import Tuning
from client.grants import CredentialSource, Issued
from client.problems import ClientError, RejectedError, TransferError
from client.wire import ARRIVED, Upload

_READS, _CALLS = 8, 4


@dataclass(frozen=True, slots=True)
class Sent:
    """`transports` in the order of their use; none where everything was there already.
    `pieces_sent` are those of this run alone. `seconds` without the wait for verification.
    """

    record: Upload
    transports: tuple[str, ...]
    pieces_sent: int
    seconds: float


class Engine:
    """Sends files, several at once if need be; for one event loop. To cancel, cancel the task."""

    def __init__(self, means: Means, on_event: OnEvent = ignore) -> None:
        self._means = means
        self._records = Records(means.api, means.threads)
        self._on_event = on_event

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        api: Api,
        source: CredentialSource,
        *,
        tuning: Tuning | None = None,
        first: Issued | None = None,
        on_event: OnEvent = ignore,
    ) -> AsyncIterator["Engine"]:
        """`first` are keys that are at hand already. No keys are asked for before they are
        needed.
        """
        tuning = tuning or Tuning()
        with Threads(reads=_READS, calls=_CALLS * (1 + tuning.parallel_files)) as threads:
            issue = lambda: threads.call(source.issue)  # noqa: E731
            async with (
                Sender.opened(connections=tuning.connections) as sender,
                KeyRing.opened(issue, first=first, on_event=on_event) as ring,
            ):
                pace = Pace(tuning.limit_rate)
                yield cls(Means(api, threads, sender, ring, pace, tuning), on_event)

    async def send(
        self,
        path: Path,
        *,
        transport: str = "auto",
        resume: bool = False,
        checksum: Wanted = "none",
        profile: str | None = None,
        wait: bool = True,
        progress: Progress = ignore,
        on_event: OnEvent | None = None,
    ) -> Sent:
        """Raises ClientErrors. Cancelled, or failed for good, it deletes the record; a failure
        that may pass leaves what has arrived to `resume`, and says so in a note. With `wait` the
        record is verified, without it may be still on the way to that.
        """
        file = await self._means.threads.read(LocalFile.open, path)
        try:
            digest = await whole_file(file, checksum, self._means.threads)
            asked = Asked(transport, profile, digest)
            sent = await self._sent(file, asked, resume, progress, on_event or self._on_event)
        finally:
            file.close()
        if wait:
            sent = replace(sent, record=await settled(self._means, sent.record))
        return sent

    async def _sent(
        self, file: LocalFile, asked: Asked, resume: bool, progress: Progress, on_event: OnEvent
    ) -> Sent:
        started = monotonic()
        found = await self._records.find(file, asked) if resume else None
        record = found or await self._records.make(file, asked)
        if record.status in ARRIVED:
            progress(file.size)
            return Sent(record, (), 0, monotonic() - started)
        source = Source(file, self._means.threads, self._means.pace, progress)
        journey = Journey(self._means, source, record, asked.transport, on_event)
        await self._travelled(journey, resumed=found is not None)
        delivery = journey.delivery
        return Sent(journey.record, tuple(delivery.by), delivery.sent, monotonic() - started)

    async def _travelled(self, journey: Journey, *, resumed: bool) -> None:
        try:
            await journey.travel(resumed=resumed)
        except BaseException as error:
            if isinstance(error, TransferError) and await self._has_arrived(journey):
                return
            await self._left(journey, error)
            raise

    async def _has_arrived(self, journey: Journey) -> bool:
        """The last answer may have been lost: what the service has seen arrive has arrived."""
        try:
            seen = await self._means.threads.call(self._means.api.upload, journey.record.id)
        except ClientError:
            return False
        if seen.status in ARRIVED:
            journey.record = seen
        return seen.status in ARRIVED

    async def _left(self, journey: Journey, error: BaseException) -> None:
        if isinstance(error, RejectedError):
            return  # it has ended already
        if _may_pass(error) and journey.delivery.stored:
            kept = len(journey.delivery.stored)
            error.add_note(f"{kept} parts are kept at the store: --resume goes on from there")
            return
        await self._records.discard(journey.record, error)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, RefusedError):
        return error.helps == "again"
    if isinstance(error, CutError | UnreachableError):
        return True
    return isinstance(error, ClientError) and passing(error)
