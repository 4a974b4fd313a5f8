"""Who moves the bytes of `uploadgate upload`: our own engine, or boto3's transfer manager."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Literal, Protocol

from client.api import Api
from client.arrival import wait_until_settled
from client.engine.checksums import Wanted
from client.engine.engine import Engine, Sent
from client.engine.events import Event
from client.engine.tuning import Tuning
from client.grants import CredentialSource, Way
from client.wire import Upload

if TYPE_CHECKING:
    from client.uploads import Uploader

Transport = Literal["auto", "credentials", "presigned", "relay"]
ManagerName = Literal["uploadgate", "boto3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The command's options. `limit_rate` in bytes a second."""

    transport: Transport = "auto"
    manager: ManagerName = "uploadgate"
    via: Way = "cognito"
    wait: bool = True
    resume: bool = False
    checksum: Wanted = "none"
    profile: str | None = None
    limit_rate: float | None = None
    parallel_files: int = 3
    parallel_parts: int = 8

    def refusal(self) -> str | None:
        """Why boto3's manager cannot do this."""
        if self.manager != "boto3":
            return None
        if self.transport not in ("auto", "credentials"):
            return f"boto3's manager has no transport {self.transport}: it needs credentials"
        if self.resume or self.checksum != "none" or self.limit_rate or self.profile:
            return "boto3's manager takes none of --resume, --checksum, --limit-rate, --profile"
        return None


class Manager(Protocol):
    async def send(
        self, path: Path, progress: Callable[[int], None], on_event: Callable[[Event], None]
    ) -> Sent:
        """To be cancelled like any task; then the record is aborted. Raises ClientErrors."""
        ...


@asynccontextmanager
async def manager_for(api: Api, wishes: Wishes) -> AsyncIterator[Manager]:
    source = CredentialSource(api, wishes.via)
    if wishes.manager == "boto3":
        # A thread a file, and one more.
        threads = ThreadPoolExecutor(wishes.parallel_files + 1)
        asyncio.get_running_loop().set_default_executor(threads)
        uploader = await asyncio.to_thread(_uploader, api, source, wishes)
        yield Boto3Manager(api, uploader, wait=wishes.wait)
        return
    tuning = Tuning(
        parallel_parts=wishes.parallel_parts,
        parallel_files=wishes.parallel_files,
        limit_rate=wishes.limit_rate,
    )
    async with Engine.opened(api, source, tuning=tuning) as engine:
        yield EngineManager(engine, wishes)


def _uploader(api: Api, source: CredentialSource, wishes: Wishes) -> "Uploader":
    from client.uploads import Uploader  # noqa: PLC0415 - boto3 takes long to load

    return Uploader.opened(
        api,
        source,
        parallel_parts=wishes.parallel_parts,
        parallel_files=wishes.parallel_files,
    )


class EngineManager:
    def __init__(self, engine: Engine, wishes: Wishes) -> None:
        self._engine = engine
        self._wishes = wishes

    async def send(
        self, path: Path, progress: Callable[[int], None], on_event: Callable[[Event], None]
    ) -> Sent:
        wishes = self._wishes
        return await self._engine.send(
            path,
            transport=wishes.transport,
            resume=wishes.resume,
            checksum=wishes.checksum,
            profile=wishes.profile,
            wait=wishes.wait,
            progress=progress,
            on_event=on_event,
        )


class Boto3Manager:
    """Its threads cannot be ended: a cancellation asks them to stop, and waits until they have."""

    def __init__(self, api: Api, uploader: "Uploader", *, wait: bool) -> None:
        self._api = api
        self._uploader = uploader
        self._wait = wait

    async def send(
        self, path: Path, progress: Callable[[int], None], on_event: Callable[[Event], None]
    ) -> Sent:
        del on_event  # it tells of nothing
        work = asyncio.ensure_future(asyncio.to_thread(self._sent, path, progress))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self._uploader.cancel()
            await asyncio.wait([work])
            raise

    def _sent(self, path: Path, progress: Callable[[int], None]) -> Sent:
        started = monotonic()
        record = self._uploader.send(path, progress)
        seconds = monotonic() - started
        return Sent(self._settled(record), ("credentials",), 1, seconds)

    def _settled(self, record: Upload) -> Upload:
        if not self._wait:
            return record
        pause = self._uploader.cancelled.wait
        return wait_until_settled(self._api, record.id, pause=pause)
