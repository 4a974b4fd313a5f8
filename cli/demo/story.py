"""The same file by every transport, as any client would send it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cli.connection import log_in
from cli.demo.act import MIB, Act
from cli.demo.audience import Audience
from cli.demo.carrying import Carrying
from cli.demo.evidence import ServiceLog
from cli.demo.stage import Stage
from cli.demo.teller import Teller
from client.api import Api
from client.engine.engine import Engine
from client.engine.events import Event, OnEvent, PieceStored, Progress
from client.engine.tuning import Tuning
from client.grants import CredentialSource, Issued
from client.http import HttpClient
from client.logins import Logins
from client.session import SessionFile, StoredSession
from client.uploads import Uploader
from client.wire import Upload

PARALLEL_PARTS = 8
SHORT_KEYS_SECONDS = 20
LONG_KEYS_SECONDS = 3600
# So slowly that the keys end about halfway.
_SLOW_SECONDS = 32
_SLOW_PARTS = 2


@dataclass(frozen=True, slots=True)
class _Access:
    api: Api
    source: CredentialSource
    first: Issued


@dataclass(slots=True)
class Story:
    """One caller's afternoon."""

    stage: Stage
    username: str
    session: SessionFile
    teller: Teller
    log: ServiceLog
    audience: Audience
    size: int

    async def play(self, password: str, file: Path) -> list[Act]:
        """In the order of the acts. Raises StepFailedError for the first that fails."""
        with HttpClient(self.stage.url) as http:
            await self._log_in(password)
            api = Api(http, StoredSession(self.session, Logins(http)))
            access = await self._access(api)
            return [
                await self._by_boto3(access, file),
                await self._by_engine(access, file, "credentials"),
                await self._by_engine(access, file, "presigned"),
                await self._by_engine(access, file, "relay"),
                await self._with_keys_that_end(access, file),
            ]

    async def _log_in(self, password: str) -> None:
        with self.teller.step(f"{self.username} logs in") as step:
            await asyncio.to_thread(log_in, self.session, self.stage.url, self.username, password)
            step.found = "access token and refresh token"

    async def _access(self, api: Api) -> _Access:
        source = CredentialSource(api)
        with self.teller.step("a Cognito grant") as step:
            grant = await asyncio.to_thread(api.grant, "cognito")
            step.found = f"identity {grant.identity_id}"
        with self.teller.step("exchanged at Cognito for temporary AWS credentials") as step:
            keys = await asyncio.to_thread(source.redeem, grant)
            step.found = f"{keys.access_key_id[:4]}…, good until {keys.expires_at:%H:%M:%S} UTC"
        return _Access(api, source, Issued(keys, grant.place, grant.server_time - _now()))

    async def _by_boto3(self, access: _Access, file: Path) -> Act:
        """A stock transfer manager: it calls nothing of the service's to complete."""
        uploader = await asyncio.to_thread(
            Uploader.opened,
            access.api,
            access.source,
            first=access.first,
            parallel_parts=PARALLEL_PARTS,
        )

        async def send(progress: Progress, _: OnEvent) -> Upload:
            # A thread cannot be cancelled: Ctrl-C is handed on, and its clean end awaited.
            sending = asyncio.ensure_future(asyncio.to_thread(uploader.send, file, progress))
            try:
                return await asyncio.shield(sending)
            except asyncio.CancelledError:
                uploader.cancel()
                await asyncio.wait([sending])
                raise

        title = f"{self.size // MIB} MiB by boto3's transfer manager"
        return await self._carrying(access).carry(title, file, send, called=False)

    async def _by_engine(self, access: _Access, file: Path, transport: str) -> Act:
        tuning = Tuning(parallel_parts=PARALLEL_PARTS)
        async with Engine.opened(
            access.api, access.source, tuning=tuning, first=access.first
        ) as engine:
            title = f"{self.size // MIB} MiB by {transport}"
            return await self._carrying(access).carry(
                title, file, _sending(engine, file, transport)
            )

    async def _with_keys_that_end(self, access: _Access, file: Path) -> Act:
        """Keys of 20 s, and no Cognito to renew them: the same upload goes on by presigned parts,
        and nothing that has arrived is sent again.
        """
        cloud = self.stage.cloud
        cloud.issue_keys_for(SHORT_KEYS_SECONDS)
        tuning = Tuning(parallel_parts=_SLOW_PARTS, limit_rate=self.size / _SLOW_SECONDS)
        stopped: list[asyncio.Task[None]] = []

        def stop_cognito(event: Event) -> None:
            if isinstance(event, PieceStored) and not stopped:
                stopped.append(asyncio.create_task(cloud.stop_cognito()))

        try:
            async with Engine.opened(access.api, access.source, tuning=tuning) as engine:
                send = _sending(engine, file, "auto", stop_cognito)
                title = f"{self.size // MIB} MiB, keys of {SHORT_KEYS_SECONDS} s, Cognito stopped"
                return await self._carrying(access).carry(title, file, send)
        finally:
            await asyncio.gather(*stopped)
            await cloud.start_cognito()
            cloud.issue_keys_for(LONG_KEYS_SECONDS)

    def _carrying(self, access: _Access) -> Carrying:
        return Carrying(self.stage, access.api, self.teller, self.log, self.audience, self.size)


def _sending(
    engine: Engine, file: Path, transport: str, also: Callable[[Event], None] | None = None
) -> Callable[[Progress, OnEvent], Awaitable[Upload]]:
    async def send(progress: Progress, on_event: OnEvent) -> Upload:
        def told(event: Event) -> None:
            on_event(event)
            if also is not None:
                also(event)

        sent = await engine.send(file, transport=transport, progress=progress, on_event=told)
        return sent.record

    return send


def _now() -> datetime:
    return datetime.now(UTC)
