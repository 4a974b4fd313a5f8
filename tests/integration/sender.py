"""A client without credentials, of the simplest kind: it asks the service for addresses, and sends
to the store itself.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.integration.stack import Stack, User, eventually

MIB = 1024 * 1024


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document, which must be this one."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    return found


def piece(upload: Any, content: bytes, number: int) -> bytes:
    """What part `number` of the upload's plan holds."""
    size = upload["multipart"]["part_size"]
    return content[(number - 1) * size : number * size]


@dataclass
class Sender:
    """`api` is the service, `store` a connection without any credentials."""

    api: httpx.AsyncClient
    store: httpx.AsyncClient
    user: User

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = self.user.headers | more.pop("headers", {})
        return await self.api.request(method, f"/v1/uploads{path}", headers=headers, **more)

    async def create(self, size: Any, *, key: str | None = None, **more: Any) -> httpx.Response:
        body = {"filename": "a.bin", "size": size, "transport": "presigned", **more}
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.ask("POST", "", json=body, headers=headers)

    async def announce(self, size: int, **more: Any) -> Any:
        answer = await self.create(size, **more)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def show(self, upload: Any) -> Any:
        answer = await self.ask("GET", f"/{upload['id']}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def becomes(self, upload: Any, status: str) -> Any:
        async def reached() -> Any:
            found = await self.show(upload)
            return found if found["status"] == status else None

        return await eventually(reached, f"{upload['id']} is {status}")

    async def sign(self, upload: Any, numbers: Iterable[int], **more: Any) -> httpx.Response:
        body = {"part_numbers": list(numbers), **more}
        return await self.ask("POST", f"/{upload['id']}/parts", json=body)

    async def signed(self, upload: Any, numbers: Iterable[int], **more: Any) -> Any:
        answer = await self.sign(upload, numbers, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["parts"]

    async def put(self, signed: Any, content: bytes, **changed: str) -> httpx.Response:
        """To the store, with exactly the headers that were signed, but for those `changed`."""
        headers = httpx.Headers(signed["headers"])
        headers.update({name.replace("_", "-"): value for name, value in changed.items()})
        return await self.store.put(signed["url"], content=content, headers=headers)

    async def post(self, form: Any, content: bytes, **changed: str) -> httpx.Response:
        fields = form["fields"] | {name.replace("_", "-"): v for name, v in changed.items()}
        return await self.store.post(form["url"], data=fields, files={"file": ("f", content)})

    async def send(self, upload: Any, content: bytes, numbers: Iterable[int]) -> None:
        """These parts, one after the other."""
        for part in await self.signed(upload, numbers):
            answer = await self.put(part, piece(upload, content, part["part_number"]))
            assert answer.status_code == 200, answer.text

    async def arrived(self, upload: Any) -> dict[int, int]:
        """The sizes of the parts that are there, by number."""
        answer = await self.ask("GET", f"/{upload['id']}/parts")
        assert answer.status_code == 200, answer.text
        return {part["part_number"]: part["size"] for part in answer.json()["items"]}

    async def complete(self, upload: Any, *, key: str | None = None) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.ask("POST", f"/{upload['id']}/complete", headers=headers)

    async def completed(self, upload: Any) -> Any:
        answer = await self.complete(upload)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "completed"
        return answer.json()

    async def switch(self, upload: Any, transport: str) -> httpx.Response:
        return await self.ask("POST", f"/{upload['id']}/transport", json={"transport": transport})

    async def relay(
        self, upload: Any, content: bytes | AsyncIterator[bytes], **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("PUT", f"/{upload['id']}/content", content=content, headers=named)

    async def download(self, upload: Any) -> httpx.Response:
        """From the store, by the address that the service gives."""
        answer = await self.ask("GET", f"/{upload['id']}/download")
        assert answer.status_code == 200, answer.text
        return await self.store.get(answer.json()["url"])


@asynccontextmanager
async def opened_sender(api: httpx.AsyncClient, user: User) -> AsyncIterator[Sender]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as store:
        yield Sender(api, store, user)


@asynccontextmanager
async def sender_at(stack: Stack) -> AsyncIterator[Sender]:
    """Of a new user at the stack's own service, which hears the store's webhook."""
    async with opened_sender(stack.api, await stack.user()) as sender:
        yield sender
