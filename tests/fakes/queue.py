"""A queue in memory: hides what it hands out, counts it, and can be away."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from errors import UnavailableError
from service.completion.queue import QueueMessage


def s3_record(key: str, **more: object) -> dict[str, Any]:
    written = {"key": key, "size": 5, "eTag": "e1", "sequencer": "0055", **more}
    return {
        "eventVersion": "2.1",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "uploads"}, "object": written},
    }


def s3_body(*keys: str) -> str:
    return json.dumps({"Records": [s3_record(key) for key in keys]})


def sns_body(message: str, message_id: str = "sns-1") -> str:
    return json.dumps({"Type": "Notification", "MessageId": message_id, "Message": message})


class MemoryQueue:
    """Implements service.completion.queue.Queue. Hidden messages are shown again by `show_hidden`,
    as when their time is over. `failing` names the calls that fail.
    """

    def __init__(self, *bodies: str) -> None:
        self.visible: list[QueueMessage] = []
        self.hidden: dict[str, QueueMessage] = {}
        self.deleted: list[str] = []
        self.hides: list[tuple[list[str], int]] = []
        self.failing: set[str] = set()
        self.undeletable: set[str] = set()
        self.calls: list[str] = []
        self._news = asyncio.Event()
        for body in bodies:
            self.send(body)

    def send(self, body: str) -> str:
        name = f"m{len(self.visible) + len(self.hidden) + len(self.deleted)}"
        self.visible.append(QueueMessage(name, f"{name}-0", body, 0))
        self._news.set()
        return name

    def show_hidden(self) -> None:
        self.visible += self.hidden.values()
        self.hidden.clear()
        self._news.set()

    async def receive(self) -> Sequence[QueueMessage]:
        self._called("receive")
        while not self.visible:
            self._news.clear()
            await self._news.wait()
        handed = [self._handed(message) for message in self.visible[:10]]
        del self.visible[:10]
        self.hidden |= {message.id: message for message in handed}
        return handed

    def _handed(self, message: QueueMessage) -> QueueMessage:
        count = message.receives + 1
        return replace(message, receives=count, receipt=f"{message.id}-{count}")

    async def delete(self, messages: Sequence[QueueMessage]) -> None:
        self._called("delete")
        for message in messages:
            if message.id not in self.undeletable:
                self.hidden.pop(message.id, None)
                self.deleted.append(message.id)

    async def hide(self, messages: Sequence[QueueMessage], seconds: int) -> None:
        self._called("hide")
        self.hides.append(([message.id for message in messages], seconds))

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise UnavailableError
