"""Signing certificates: fetched once, kept for a while, checked at every use.

Whoever knows a topic's ARN can make this ask SNS's own host for certificates that do not exist.
So only what was good takes a place in the cache, what is there is fetched anew beside the
strangers, and these get few fetches at a time, each the same chance, and what was refused is not
asked for again at once.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from aws.sns.signing_certificate import SigningCertificate, signing_certificate
from aws.sns.turns import NewestFirst
from errors import WebhookForgedError, WebhookUnverifiableError

_MOST_FLIGHTS_WAITING = 60
_MOST_REMEMBERED = 1024
_REMEMBERED = timedelta(seconds=20)
_AGAIN_SECONDS = (30, 90)  # after a renewal that failed

_log = structlog.get_logger(__name__)


class CertificateFetcher(Protocol):
    async def fetch(self, url: str) -> bytes:
        """The PEM at `url`, which has passed is_certificate_url().

        Raises WebhookForgedError where there is none, WebhookUnverifiableError where asking again
        may help.
        """


@dataclass(slots=True)
class _Kept:
    certificate: SigningCertificate
    renewed_after: datetime


class Certificates:
    """`timeout_seconds` bounds a whole fetch with its wait; SNS itself waits for 15 s. While there
    are certificates to prove messages by, `max_callers` at most wait for others: the rest of the
    door's places is for those that need not.

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
        max_callers: int = 100,
    ) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._ttl = timedelta(seconds=ttl_seconds)
        self._max_entries = max_entries
        self._max_callers = max_callers
        self._turns = NewestFirst(places=max_fetches, most_waiting=_MOST_FLIGHTS_WAITING)
        self._cache: OrderedDict[str, _Kept] = OrderedDict()
        self._refused: OrderedDict[str, datetime] = OrderedDict()  # until when
        self._flights: dict[str, asyncio.Task[SigningCertificate]] = {}
        self._renewals: dict[str, asyncio.Task[None]] = {}
        self._renewing = asyncio.Lock()
        self._callers = 0

    async def key_at(self, url: str) -> RSAPublicKey:
        """The public key of the certificate at `url`, valid now. Errors as the fetcher's."""
        return self.kept(url) or (await self._fetched(url)).key

    def kept(self, url: str) -> RSAPublicKey | None:
        """The same, if that needs no fetch."""
        found = self._cache.get(url)
        now = self._clock()
        if found is None or not found.certificate.holds_at(now):
            return None
        if now > found.renewed_after and url not in self._renewals:
            found.renewed_after = now + timedelta(seconds=random.uniform(*_AGAIN_SECONDS))  # noqa: S311
            self._renew(url)
        self._cache.move_to_end(url)
        return found.certificate.key

    async def aclose(self) -> None:
        """Ends the fetches under way."""
        tasks = [*self._flights.values(), *self._renewals.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetched(self, url: str) -> SigningCertificate:
        if self._callers >= self._max_callers and self._cache:
            raise WebhookUnverifiableError("Too many messages wait for their certificates")
        refused_until = self._refused.get(url)
        if refused_until is not None and self._clock() < refused_until:
            # No final word from memory: SNS never sends again what got a 4xx.
            raise WebhookUnverifiableError("There was no signing certificate a moment ago")
        self._callers += 1
        try:
            # One caller that goes away must not end the fetch for the others.
            return await asyncio.shield(self._flight(url))
        finally:
            self._callers -= 1

    def _flight(self, url: str) -> asyncio.Task[SigningCertificate]:
        flight = self._flights.get(url)
        if flight is None:
            flight = self._flights[url] = asyncio.create_task(self._fetch(url, self._turns))
            flight.add_done_callback(lambda done: self._landed(url, done))
        return flight

    def _landed(self, url: str, flight: asyncio.Task[SigningCertificate]) -> None:
        del self._flights[url]
        failure = None if flight.cancelled() else flight.exception()
        if isinstance(failure, WebhookForgedError):
            self._refuse(url)
        elif failure is None and not flight.cancelled():
            self._keep(url, flight.result())

    def _keep(self, url: str, certificate: SigningCertificate) -> None:
        self._cache[url] = _Kept(certificate, self._clock() + self._ttl)
        self._cache.move_to_end(url)
        while len(self._cache) > self._max_entries:
            self._cache.popitem(last=False)

    def _refuse(self, url: str) -> None:
        self._refused[url] = self._clock() + _REMEMBERED
        self._refused.move_to_end(url)
        while len(self._refused) > _MOST_REMEMBERED:
            self._refused.popitem(last=False)

    def _renew(self, url: str) -> None:
        """One address at a time, beside the strangers' turns; what is kept serves on meanwhile."""
        self._renewals[url] = task = asyncio.create_task(self._renewed(url))
        task.add_done_callback(lambda done: self._renewal_ended(url, done))

    def _renewal_ended(self, url: str, renewal: asyncio.Task[None]) -> None:
        del self._renewals[url]
        if not renewal.cancelled() and renewal.exception() is not None:
            _log.error("sns_certificate_not_renewed", exc_info=renewal.exception())

    async def _renewed(self, url: str) -> None:
        try:
            self._keep(url, await self._fetch(url, self._renewing))
        except WebhookForgedError:
            _log.warning("sns_certificate_withdrawn")
            self._cache.pop(url, None)
        except WebhookUnverifiableError:
            _log.info("sns_certificate_not_renewed_now")

    async def _fetch(self, url: str, turns: NewestFirst | asyncio.Lock) -> SigningCertificate:
        try:
            async with asyncio.timeout(self._timeout_seconds), turns:
                pem = await self._fetcher.fetch(url)
        except TimeoutError:
            raise WebhookUnverifiableError("The signing certificate did not come in time") from None
        return signing_certificate(pem, self._clock())
