"""The one upload, step by step, as any client would make it. Synchronous: it runs in a thread."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cli.bars import bars
from cli.connection import log_in
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

    def run(self, password: str, file: Path, pid: int) -> Outcome:
        with HttpClient(self.url) as http:
            self._log_in(password)
            api = Api(http, StoredSession(self.session, Logins(http)))
            grant = self._grant(api)
            source = CredentialSource(api)
            first = self._keys(source, grant)
            traffic = Traffic(pid)
            traffic.begin(lambda size: _post_nothing_much(api, size))
            return self._upload(api, source, first, file, grant, traffic)

    def _log_in(self, password: str) -> None:
        with self.teller.step(f"{self.username} logs in") as step:
            log_in(self.session, self.url, self.username, password)
            step.found = "access token and refresh token"

    def _grant(self, api: Api) -> Grant:
        with self.teller.step("a Cognito grant") as step:
            grant = api.grant("cognito")
            step.found = f"identity {grant.identity_id}"
            return grant

    def _keys(self, source: CredentialSource, grant: Grant) -> Issued:
        with self.teller.step("exchanged at Cognito for temporary AWS credentials") as step:
            keys = source.redeem(grant)
            step.found = f"{keys.access_key_id[:4]}…, good until {keys.expires_at:%H:%M:%S} UTC"
            return Issued(keys, grant.place, grant.server_time - datetime.now(UTC))

    def _upload(
        self,
        api: Api,
        source: CredentialSource,
        first: Issued,
        file: Path,
        grant: Grant,
        traffic: Traffic,
    ) -> Outcome:
        size = file.stat().st_size
        parts = part_count(size)
        plan = f"{size / _MIB:.0f} MiB straight to the store"
        if parts > 1:
            plan += f" in {parts} parts of {part_size(size) // _MIB} MiB, {PARALLEL_PARTS} at once"
        with self.teller.step(plan):
            self.uploader = Uploader.opened(api, source, first=first, parallel_parts=PARALLEL_PARTS)
            started = time.monotonic()
            record = self._send(self.uploader, file)
            seconds, sent_at = time.monotonic() - started, datetime.now(UTC)
        record = self._completed(api, record)
        return Outcome(
            who=self.username,
            identity=grant.identity_id or "",
            size=size,
            parts=parts,
            seconds=seconds,
            sent_at=sent_at,
            record=record,
            completed_by=_completed_by(api, record),
            traffic=traffic.told(size),
        )

    def _send(self, uploader: Uploader, file: Path) -> Upload:
        with bars(self.teller.console) as progress:
            task = progress.add_task(file.name, total=file.stat().st_size)
            return uploader.send(file, lambda sent: progress.advance(task, sent))

    def _completed(self, api: Api, record: Upload) -> Upload:
        with self.teller.step("the store's webhook, then the service's check") as step:
            record = wait_until_settled(api, record.id)
            step.found = record.status
            return record


def _post_nothing_much(api: Api, size: int) -> None:
    """A request whose body has so many bytes; the service reads and refuses it."""
    try:
        api.create_upload("x" * size, 0, "text/plain")
    except ApiError:
        return


def _completed_by(api: Api, record: Upload) -> str | None:
    """Which source brought the news, as the upload's timeline tells it."""
    try:
        timeline = api.timeline(record.id)
    except ApiError:
        return None
    return next((str(e["source"]) for e in timeline.get("items", []) if e.get("source")), None)
