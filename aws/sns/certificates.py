"""Signing certificates: fetched once, kept for a while, checked at every use.

Whoever knows a topic's ARN can make this ask SNS's own host for certificates that do not exist.
So fetches are few at a time, and only what was good takes a place in the cache.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from errors import WebhookForgedError, WebhookUnverifiableError

_MIN_KEY_BITS = 2048


class CertificateFetcher(Protocol):
    async def fetch(self, url: str) -> bytes:
        """The PEM at `url`, which has passed is_certificate_url().

        Raises WebhookForgedError where there is none, WebhookUnverifiableError where asking again
        may help.
        """


@dataclass(frozen=True, slots=True)
class SigningCertificate:
    """Dates are aware of their zone. `fetched_at` is the time of the fetch."""

    key: RSAPublicKey
    not_before: datetime
    not_after: datetime
    fetched_at: datetime


class Certificates:
    """`timeout_seconds` bounds a whole fetch with its wait; SNS itself waits for 15 s.

    The clock gives times that are aware of their zone.
    """

    def __init__(
        self,
        fetcher: CertificateFetcher,
        *,
        clock: Callable[[], datetime],
        timeout_seconds: float = 5.0,
        ttl_seconds: int = 86_400,
        max_entries: int = 32,
        max_fetches: int = 4,
    ) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._ttl = timedelta(seconds=ttl_seconds)
        self._max_entries = max_entries
        self._slots = asyncio.Semaphore(max_fetches)
        self._cache: OrderedDict[str, SigningCertificate] = OrderedDict()
        self._flights: dict[str, asyncio.Task[SigningCertificate]] = {}

    async def key_at(self, url: str) -> RSAPublicKey:
        """The public key of the certificate at `url`, valid now. Errors as the fetcher's."""
        certificate = self._cached(url) or await self._joined_fetch(url)
        if not certificate.not_before <= self._clock() <= certificate.not_after:
            raise WebhookForgedError("The signing certificate is not valid at this time")
        return certificate.key

    async def aclose(self) -> None:
        """Ends the fetches under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _cached(self, url: str) -> SigningCertificate | None:
        certificate = self._cache.get(url)
        if certificate is None or self._clock() - certificate.fetched_at > self._ttl:
            return None
        self._cache.move_to_end(url)
        return certificate

    async def _joined_fetch(self, url: str) -> SigningCertificate:
        flight = self._flights.get(url)
        if flight is None:
            flight = self._flights[url] = asyncio.create_task(self._fetch(url))
            flight.add_done_callback(lambda done: self._landed(url, done))
        # One caller that goes away must not end the fetch for the others.
        return await asyncio.shield(flight)

    def _landed(self, url: str, flight: asyncio.Task[SigningCertificate]) -> None:
        del self._flights[url]
        if flight.cancelled() or flight.exception() is not None:
            return
        self._cache[url] = flight.result()
        self._cache.move_to_end(url)
        while len(self._cache) > self._max_entries:
            self._cache.popitem(last=False)

    async def _fetch(self, url: str) -> SigningCertificate:
        try:
            async with asyncio.timeout(self._timeout_seconds), self._slots:
                pem = await self._fetcher.fetch(url)
        except TimeoutError:
            raise WebhookUnverifiableError("The signing certificate did not come in time") from None
        return _signing_certificate(pem, fetched_at=self._clock())


def _signing_certificate(pem: bytes, *, fetched_at: datetime) -> SigningCertificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except ValueError:
        raise WebhookForgedError("The signing certificate is not a certificate") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < _MIN_KEY_BITS:
        raise WebhookForgedError("The signing certificate has no RSA key of 2,048 bits")
    return SigningCertificate(
        key=key,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fetched_at=fetched_at,
    )
