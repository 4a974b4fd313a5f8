"""Carries one file over, with everybody watching: the progress bar, the kernel, the store."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cli.bars import bars
from cli.demo.act import Act
from cli.demo.audience import Audience
from cli.demo.evidence import ServiceLog
from cli.demo.stage import Stage
from cli.demo.teller import Teller
from cli.demo.traffic import Traffic
from client.api import Api
from client.arrival import wait_until_settled
from client.engine.events import Event, OnEvent, PieceStored, Progress, Switched
from client.parts import part_count
from client.problems import ApiError
from client.wire import Upload

Send = Callable[[Progress, OnEvent], Awaitable[Upload]]


@dataclass(slots=True)
class _Watch:
    """What happened on the way."""

    started: float = field(default_factory=time.monotonic)
    by: Counter[str] = field(default_factory=Counter)
    switches: list[str] = field(default_factory=list)
    last_stored: datetime | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def see(self, event: Event) -> None:
        if isinstance(event, Switched):
            self.switches.append(f"switched to {event.to} after {self.seconds:.1f} s")
        if isinstance(event, PieceStored):
            self.by[event.transport] += 1
            self.last_stored = datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Carrying:
    stage: Stage
    api: Api
    teller: Teller
    log: ServiceLog
    audience: Audience
    size: int

    async def carry(self, title: str, file: Path, send: Send, *, called: bool = True) -> Act:
        """`called`: the client itself calls complete, so no webhook is waited for."""
        traffic = Traffic(self.stage.service.pid)
        await asyncio.to_thread(traffic.begin, lambda count: _post_nothing_much(self.api, count))
        watch = _Watch()
        with self.teller.step(title) as step:
            record = await self._send(file, send, watch)
            seconds = watch.seconds
            sent_at = watch.last_stored or datetime.now(UTC)
            read = traffic.read()
            record = await asyncio.to_thread(wait_until_settled, self.api, record.id)
            heard = await self.audience.told(record)
            step.found = ", ".join([record.status, *watch.switches])
        act = Act(
            title=title,
            size=self.size,
            parts=part_count(self.size),
            seconds=seconds,
            sent_at=sent_at,
            record=record,
            called=called,
            by=watch.by,
            deliveries=self.log.deliveries_before_completion(record.id),
            read=read,
            answers=await self.stage.cloud.requests(record.key),
            heard=heard,
        )
        for line in act.told():
            self.teller.say(f"    {line}")
        return act

    async def _send(self, file: Path, send: Send, watch: _Watch) -> Upload:
        with bars(self.teller.console) as progress:
            task = progress.add_task(file.name, total=self.size)
            return await send(lambda count: progress.advance(task, count), watch.see)


def _post_nothing_much(api: Api, size: int) -> None:
    """A request whose body has so many bytes; the service reads and refuses it."""
    try:
        api.create_upload("x" * size, 0, "text/plain")
    except ApiError:
        return
