import asyncio
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from aws.sns.certificates import Certificates
from errors import WebhookForgedError, WebhookUnverifiableError
from tests.unit.sns.sender import (
    NOW,
    CountingFetcher,
    Door,
    body,
    certificate,
    notification,
    rsa_key,
    signed,
)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def url(number: int) -> str:
    return f"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{number}.pem"


async def test_many_at_once_are_one_fetch() -> None:
    door = Door(fetcher=CountingFetcher(delay_seconds=0.02))
    plain = body(signed(notification()))
    answers = await asyncio.gather(*(door.receive(plain, {}) for _ in range(50)))
    assert all(len(events) == 1 for events in answers)
    assert len(door.fetcher.urls) == 1


async def test_one_caller_that_goes_away_leaves_the_fetch_to_the_others() -> None:
    fetcher = CountingFetcher(delay_seconds=0.02)
    certificates = Certificates(fetcher, clock=Clock())
    first, second = (asyncio.create_task(certificates.key_at(url(1))) for _ in range(2))
    await asyncio.sleep(0.005)
    first.cancel()
    assert await second == rsa_key().public_key()
    assert first.cancelled()
    assert len(fetcher.urls) == 1


async def test_a_failed_fetch_fails_all_that_wait_and_is_forgotten() -> None:
    fetcher = CountingFetcher(failures=[WebhookUnverifiableError()], delay_seconds=0.01)
    certificates = Certificates(fetcher, clock=Clock())
    waiting = (certificates.key_at(url(1)) for _ in range(3))
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(failure) for failure in failures] == [WebhookUnverifiableError] * 3
    assert await certificates.key_at(url(1)) == rsa_key().public_key()
    assert len(fetcher.urls) == 2


async def test_a_failure_nobody_waits_for_makes_no_noise() -> None:
    fetcher = CountingFetcher(failures=[WebhookForgedError()], delay_seconds=0.01)
    certificates = Certificates(fetcher, clock=Clock())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(certificates.key_at(url(1)), 0.001)
    await asyncio.sleep(0.02)
    assert await certificates.key_at(url(1)) == rsa_key().public_key()


async def test_a_slow_fetch_times_out_and_may_be_tried_again() -> None:
    fetcher = CountingFetcher(delay_seconds=5)
    certificates = Certificates(fetcher, clock=Clock(), timeout_seconds=0.01)
    with pytest.raises(WebhookUnverifiableError):
        await certificates.key_at(url(1))
    fetcher.delay_seconds = 0
    assert await certificates.key_at(url(1)) == rsa_key().public_key()


async def test_fetches_are_few_at_a_time_and_the_wait_for_them_is_bounded() -> None:
    fetcher = CountingFetcher(delay_seconds=0.05)
    certificates = Certificates(fetcher, clock=Clock(), max_fetches=2, timeout_seconds=0.08)
    flood = (certificates.key_at(url(number)) for number in range(8))
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert len(fetcher.urls) == 4
    assert sum(isinstance(answer, WebhookUnverifiableError) for answer in answers) == 6


async def test_the_cache_is_bounded_and_keeps_what_is_used() -> None:
    fetcher = CountingFetcher()
    certificates = Certificates(fetcher, clock=Clock(), max_entries=3)
    for number in range(100):
        await certificates.key_at(url(1000))
        await certificates.key_at(url(number))
    assert len(certificates._cache) == 3
    assert fetcher.urls.count(url(1000)) == 1
    assert certificates._flights == {}


async def test_what_was_no_certificate_takes_no_place_in_the_cache() -> None:
    fetcher = CountingFetcher()
    certificates = Certificates(fetcher, clock=Clock(), max_entries=2)
    await certificates.key_at(url(1))
    fetcher.pem = b"<Error>AccessDenied</Error>"
    for number in range(2, 10):
        with pytest.raises(WebhookForgedError):
            await certificates.key_at(url(number))
    await certificates.key_at(url(1))
    assert fetcher.urls.count(url(1)) == 1


async def test_a_certificate_is_fetched_anew_after_its_time_in_the_cache() -> None:
    fetcher, clock = CountingFetcher(), Clock()
    certificates = Certificates(fetcher, clock=clock, ttl_seconds=60)
    for seconds in (0, 60, 61):
        clock.now = NOW + timedelta(seconds=seconds)
        await certificates.key_at(url(1))
    assert len(fetcher.urls) == 2


@pytest.mark.parametrize("days", [-31, 301])
async def test_a_certificate_outside_its_dates_is_refused_also_from_the_cache(days: int) -> None:
    clock = Clock()
    certificates = Certificates(CountingFetcher(), clock=clock, ttl_seconds=10**9)
    await certificates.key_at(url(1))
    clock.now = NOW + timedelta(days=days)
    with pytest.raises(WebhookForgedError):
        await certificates.key_at(url(1))


async def test_an_expired_certificate_proves_nothing() -> None:
    expired = certificate(rsa_key(), end=NOW - timedelta(seconds=1))
    door = Door(fetcher=CountingFetcher(pem=expired))
    with pytest.raises(WebhookForgedError):
        await door.receive(body(signed(notification())), {})


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"\xff",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        certificate(ec.generate_private_key(ec.SECP256R1())),
    ],
    ids=["nothing", "bytes", "no certificate", "no RSA"],
)
async def test_what_is_no_signing_certificate(pem: bytes) -> None:
    with pytest.raises(WebhookForgedError):
        await Certificates(CountingFetcher(pem=pem), clock=Clock()).key_at(url(1))


async def test_closing_ends_the_fetches_under_way() -> None:
    certificates = Certificates(CountingFetcher(delay_seconds=30), clock=Clock())
    waiting = asyncio.create_task(certificates.key_at(url(1)))
    await asyncio.sleep(0)
    await certificates.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
