"""The one upload, step by step, as any client would make it. Synchronous: it runs in a thread."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cli.bars import bars
from cli.connection import log_in
from cli.demo.evidence import ServiceLog
from cli.demo.summary import Outcome
from cli.demo.teller import Teller
from cli.demo.traffic import Traffic
from client.api import Api
from client.arrival import wait_until_settled
from client.grants import CredentialSource, Issued
from client.http import HttpClient
from client.logins import Logins
from client.parts import part_count, part_size
from client.problems import ApiError
from client.session import SessionFile, StoredSession
from client.uploads import Uploader
from client.wire import Grant, Upload

PARALLEL_PARTS = 8
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Access:
    api: Api
    source: CredentialSource
    grant: Grant
    first: Issued


@dataclass(slots=True)
class Story:
    """One caller's afternoon. `cancel` ends an upload under way."""

    url: str
    username: str
    session: SessionFile
    teller: Teller
    uploader: Uploader | None = field(default=None, init=False)

    def cancel(self) -> None:
        if self.uploader is not None:
            self.uploader.cancel()

    def run(self, password: str, file: Path, pid: int, log: ServiceLog) -> Outcome:
        with HttpClient(self.url) as http:
            self._log_in(password)
            access = self._access(Api(http, StoredSession(self.session, Logins(http))))
            traffic = Traffic(pid)
            traffic.begin(lambda size: _post_nothing_much(access.api, size))
            return self._upload(access, file, traffic, log)

    def _log_in(self, password: str) -> None:
        with self.teller.step(f"{self.username} logs in") as step:
            log_in(self.session, self.url, self.username, password)
            step.found = "access token and refresh token"

    def _access(self, api: Api) -> _Access:
        source = CredentialSource(api)
        with self.teller.step("a Cognito grant") as step:
            grant = api.grant("cognito")
            step.found = f"identity {grant.identity_id}"
        with self.teller.step("exchanged at Cognito for temporary AWS credentials") as step:
            keys = source.redeem(grant)
            step.found = f"{keys.access_key_id[:4]}…, good until {keys.expires_at:%H:%M:%S} UTC"
        first = Issued(keys, grant.place, grant.server_time - datetime.now(UTC))
        return _Access(api, source, grant, first)

    def _upload(self, access: _Access, file: Path, traffic: Traffic, log: ServiceLog) -> Outcome:
        size = file.stat().st_size
        with self.teller.step(_plan(size)):
            uploader = self.uploader = Uploader.opened(
                access.api, access.source, first=access.first, parallel_parts=PARALLEL_PARTS
            )
            started = time.monotonic()
            record = self._send(uploader, file)
            seconds, sent_at = time.monotonic() - started, datetime.now(UTC)
        record = self._completed(access.api, record)
        return Outcome(
            who=self.username,
            identity=access.grant.identity_id or "",
            size=size,
            parts=part_count(size),
            seconds=seconds,
            sent_at=sent_at,
            record=record,
            deliveries=log.deliveries_before_completion(record.id),
            traffic=traffic.told(size),
        )

    def _send(self, uploader: Uploader, file: Path) -> Upload:
        with bars(self.teller.console) as progress:
            task = progress.add_task(file.name, total=file.stat().st_size)
            return uploader.send(file, lambda sent: progress.advance(task, sent))

    def _completed(self, api: Api, record: Upload) -> Upload:
        with self.teller.step("the store's webhook awaited, and the service's own check") as step:
            record = wait_until_settled(api, record.id)
            step.found = record.status
            return record


def _plan(size: int) -> str:
    text = f"{size / _MIB:.0f} MiB straight to the store"
    if part_count(size) == 1:
        return text
    return (
        f"{text} in {part_count(size)} parts of {part_size(size) // _MIB} MiB, "
        f"{PARALLEL_PARTS} at once"
    )


def _post_nothing_much(api: Api, size: int) -> None:
    """A request whose body has so many bytes; the service reads and refuses it."""
    try:
        api.create_upload("x" * size, 0, "text/plain")
    except ApiError:
        return
