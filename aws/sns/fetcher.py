"""Fetching a signing certificate over HTTPS, trusting nothing but the host's own certificate."""

from types import TracebackType
from typing import Self

import httpx

from errors import WebhookForgedError, WebhookUnverifiableError

_MAX_BYTES = 32_768  # SNS's are about 2 KB
_OK = 200
_SERVER_ERROR = 500
_ASK_AGAIN = frozenset({408, 425, 429})


class HttpxCertificateFetcher:
    """Implements CertificateFetcher. Redirects are not followed; proxies and other settings of
    the environment are not read. `timeout_seconds` holds for each step (connect, read).
    """

    def __init__(
        self,
        *,
        timeout_seconds: float = 4.0,
        max_bytes: int = _MAX_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._client = httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(timeout_seconds),
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=2),
            # Read raw, so that a small answer cannot unpack into a large one.
            headers={"Accept-Encoding": "identity", "User-Agent": "uploadgate"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def fetch(self, url: str) -> bytes:
        try:
            async with self._client.stream("GET", url) as answer:
                _check_status(answer.status_code)
                return await self._read(answer)
        except httpx.HTTPError:
            raise WebhookUnverifiableError("The signing certificate could not be read") from None

    async def _read(self, answer: httpx.Response) -> bytes:
        content = bytearray()
        async for chunk in answer.aiter_raw():
            content += chunk
            if len(content) > self._max_bytes:
                raise WebhookForgedError("The signing certificate is larger than one can be")
        return bytes(content)


def _check_status(status: int) -> None:
    if status >= _SERVER_ERROR or status in _ASK_AGAIN:
        raise WebhookUnverifiableError("The signing certificate cannot be had now")
    if status != _OK:
        raise WebhookForgedError("There is no signing certificate at the address given")
