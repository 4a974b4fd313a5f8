"""`uploadgate serve`, whose signing certificates come from the benchmark instead of AWS's host.

The verifier believes SNS's own hosts only, and rightly: so the one thing that is replaced is the
connection below its HTTP client. Address check, fetch, parsing and every signature are real.
"""

import os
import sys

import httpx

import wiring.doors
from aws.sns.fetcher import HttpxCertificateFetcher
from cli.serve import run

CERTIFICATES = "BENCH_CERTIFICATES"  # where they are, e.g. http://127.0.0.1:1234


class _Rerouted(httpx.AsyncBaseTransport):
    def __init__(self, to: str) -> None:
        self._to = to
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        there = httpx.Request(request.method, self._to + request.url.path)
        return await self._inner.handle_async_request(there)

    async def aclose(self) -> None:
        await self._inner.aclose()


def main() -> int:
    # Not the service's own settings: those refuse what they do not know.
    transport = _Rerouted(os.environ.pop(CERTIFICATES))
    vars(wiring.doors)["HttpxCertificateFetcher"] = lambda: HttpxCertificateFetcher(
        transport=transport
    )
    return run(workers=1)


if __name__ == "__main__":
    sys.exit(main())
