"""`python -m benchmarks.heads`: what a HEAD costs the service, ours and botocore's.

Both ask the same server in its own process, which answers at once, and read the same answer, which
is checked before anything is timed. Counted is this process's own time on its core.
"""

import argparse
import asyncio
import multiprocessing
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from typing import cast

import uvloop

from aws.clients import AwsAccess, opened
from aws.heads import Heads
from aws.signer.presigner import Presigner
from service.uploads.model import Checksum
from service.uploads.ports import StoredObject

_BUCKET, _KEY = "uploads", "us-east-1:0b1c2d3e/upl_01/holiday.mp4"
_CONCURRENCY = 16
_HEADERS = {
    "Content-Length": "1000",
    "Content-Type": "video/mp4",
    "ETag": '"9bb58f26192e4ba00f01e2e7b136bbd8"',
    "Last-Modified": "Mon, 01 Jan 2029 00:00:00 GMT",
    "Accept-Ranges": "bytes",
    "Date": "Mon, 01 Jan 2029 00:00:00 GMT",
    "Server": "stub",
    "x-amz-request-id": "0123456789ABCDEF",
    "x-amz-checksum-crc64nvme": "AAAAAAAAAAA=",
    "x-amz-checksum-type": "FULL_OBJECT",
    "x-amz-meta-uploadgate-upload-id": "upl_01",
}
_ANSWER = (
    "HTTP/1.1 200 OK\r\n"
    + "".join(f"{name}: {value}\r\n" for name, value in _HEADERS.items())
    + "\r\n"
).encode()

_EXPECTED = StoredObject(
    size=1000,
    etag="9bb58f26192e4ba00f01e2e7b136bbd8",
    content_type="video/mp4",
    checksum=Checksum("CRC64NVME", "AAAAAAAAAAA="),
    upload_id="upl_01",
)

Head = Callable[[], Awaitable[object]]


class _Answering(asyncio.Protocol):
    """Reads no request, but counts their ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER * data.count(b"\r\n\r\n"))


def _serve(told: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def server() -> Iterator[str]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(there,), daemon=True
    )
    process.start()
    os.sched_setaffinity(process.pid or 0, {max(os.sched_getaffinity(0))})
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


@asynccontextmanager
async def heads(url: str) -> AsyncIterator[dict[str, Head]]:
    access = AwsAccess(
        region="us-east-1", access_key_id="AKIAEXAMPLE", secret_access_key=_KEY, s3_endpoint=url
    )
    async with opened(access) as clients:
        signer = Presigner(credentials=clients.credentials, region="us-east-1", endpoint=url)
        async with Heads.opened(
            signer,
            connections=100,
            connect_seconds=2,
            read_seconds=5,
            attempts=3,
            call_seconds=8,
        ) as ours:
            yield {
                "botocore": lambda: clients.s3.head_object(
                    Bucket=_BUCKET, Key=_KEY, ChecksumMode="ENABLED"
                ),
                "ours": lambda: ours.head(_BUCKET, _KEY),
                "its signature alone": lambda: signer.head(_BUCKET, _KEY),
            }


async def _cost(head: Head, calls: int) -> float:
    """Microseconds of the processor a call."""
    left = iter(range(calls))

    async def some() -> None:
        for _ in left:
            await head()

    began = time.process_time()
    await asyncio.gather(*(some() for _ in range(_CONCURRENCY)))
    return (time.process_time() - began) / calls * 1e6


async def measure(rounds: int, calls: int) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    with server() as url:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        async with heads(url) as ways:
            if await ways["ours"]() != _EXPECTED:
                raise RuntimeError("the answer is read wrongly")
            for _ in range(rounds):
                for name, head in ways.items():
                    found.setdefault(name, []).append(await _cost(head, calls))
    return {name: statistics.median(costs) for name, costs in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heads")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=1000)
    options = parser.parse_args()
    costs = uvloop.run(measure(options.rounds, options.calls))
    print(f"{_CONCURRENCY} at a time, medians of {options.rounds} rounds\n")
    print("| HEAD | µs of the processor |\n|---|--:|")
    for name, microseconds in costs.items():
        print(f"| {name} | {microseconds:,.0f} |")


if __name__ == "__main__":
    main()
