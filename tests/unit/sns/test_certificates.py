import asyncio
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from aws.sns.certificates import Certificates
from errors import WebhookForgedError, WebhookUnverifiableError
from tests.fakes.eventually import eventually
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


class GatedFetcher(CountingFetcher):
    """Answers a call for each time that it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Semaphore(0)

    async def fetch(self, url: str) -> bytes:
        answer = await super().fetch(url)
        await self.may_answer.acquire()
        return answer


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
    fetcher = CountingFetcher(failures=[WebhookUnverifiableError()], delay_seconds=0.01)
    certificates = Certificates(fetcher, clock=Clock())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(certificates.key_at(url(1)), 0.001)
    await eventually(lambda: certificates._flights == {})
    assert await certificates.key_at(url(1)) == rsa_key().public_key()


async def test_a_slow_fetch_times_out_and_may_be_tried_again() -> None:
    fetcher = CountingFetcher(delay_seconds=60)
    certificates = Certificates(fetcher, clock=Clock(), timeout_seconds=0.5)
    with pytest.raises(WebhookUnverifiableError):
        await certificates.key_at(url(1))
    fetcher.delay_seconds = 0
    assert await certificates.key_at(url(1)) == rsa_key().public_key()


async def test_fetches_are_few_at_a_time_and_the_wait_for_them_is_bounded() -> None:
    fetcher = GatedFetcher()
    certificates = Certificates(fetcher, clock=Clock(), max_fetches=2, timeout_seconds=1)
    flood = asyncio.gather(
        *(certificates.key_at(url(number)) for number in range(8)), return_exceptions=True
    )
    await eventually(lambda: len(fetcher.urls) == 2)
    for _ in range(2):
        fetcher.may_answer.release()
    answers = await flood
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
    for seconds in (0, 60, 61, 62):
        clock.now = NOW + timedelta(seconds=seconds)
        await certificates.key_at(url(1))
    await eventually(lambda: certificates._renewals == {})
    assert len(fetcher.urls) == 2


async def test_meanwhile_what_is_kept_serves_on_whatever_strangers_ask_for() -> None:
    fetcher, clock = GatedFetcher(), Clock()
    certificates = Certificates(fetcher, clock=clock, ttl_seconds=60, max_fetches=2)
    fetcher.may_answer.release()
    await certificates.key_at(url(1000))
    strangers = [asyncio.create_task(certificates.key_at(url(number))) for number in range(9)]
    await eventually(lambda: len(fetcher.urls) == 3)
    clock.now = NOW + timedelta(seconds=61)
    for _ in range(3):
        assert await certificates.key_at(url(1000)) == rsa_key().public_key()
    await eventually(lambda: fetcher.urls.count(url(1000)) == 2)  # past them, and once
    for task in strangers:
        task.cancel()
    await asyncio.wait(strangers)
    await certificates.aclose()


async def test_one_that_cannot_be_renewed_now_serves_on_and_is_asked_for_later() -> None:
    fetcher, clock = CountingFetcher(), Clock()
    certificates = Certificates(fetcher, clock=clock, ttl_seconds=60)
    await certificates.key_at(url(1))
    fetcher.failures = [WebhookUnverifiableError()]
    for seconds, fetches in ((61, 2), (62, 2), (90, 2), (152, 3), (200, 3)):
        clock.now = NOW + timedelta(seconds=seconds)
        assert await certificates.key_at(url(1)) == rsa_key().public_key()
        await eventually(lambda: certificates._renewals == {})
        assert len(fetcher.urls) == fetches


async def test_one_that_is_withdrawn_serves_no_longer() -> None:
    fetcher, clock = CountingFetcher(), Clock()
    certificates = Certificates(fetcher, clock=clock, ttl_seconds=60)
    await certificates.key_at(url(1))
    fetcher.failures = [WebhookForgedError(), WebhookForgedError()]
    clock.now = NOW + timedelta(seconds=61)
    await certificates.key_at(url(1))
    await eventually(lambda: certificates._renewals == {})
    with pytest.raises(WebhookForgedError):
        await certificates.key_at(url(1))


async def test_a_renewal_that_breaks_is_told_and_what_is_kept_serves_on() -> None:
    fetcher, clock = CountingFetcher(), Clock()
    certificates = Certificates(fetcher, clock=clock, ttl_seconds=60)
    await certificates.key_at(url(1))
    fetcher.failures = [RuntimeError("a bug")]
    clock.now = NOW + timedelta(seconds=61)
    with capture_logs() as lines:
        await certificates.key_at(url(1))
        await eventually(lambda: certificates._renewals == {})
    assert [line["event"] for line in lines] == ["sns_certificate_not_renewed"]
    assert certificates.kept(url(1)) == rsa_key().public_key()
    await eventually(lambda: certificates._renewals == {})


async def test_what_was_refused_is_not_asked_for_again_at_once_and_never_finally() -> None:
    fetcher, clock = CountingFetcher(failures=[WebhookForgedError()]), Clock()
    certificates = Certificates(fetcher, clock=clock)
    with pytest.raises(WebhookForgedError):
        await certificates.key_at(url(1))
    for seconds in (0, 19):
        clock.now = NOW + timedelta(seconds=seconds)
        with pytest.raises(WebhookUnverifiableError):
            await certificates.key_at(url(1))
    assert len(fetcher.urls) == 1
    clock.now = NOW + timedelta(seconds=20)
    assert await certificates.key_at(url(1)) == rsa_key().public_key()


async def test_what_is_remembered_of_strangers_is_bounded() -> None:
    fetcher = CountingFetcher(pem=b"")
    certificates = Certificates(fetcher, clock=Clock())
    for number in range(1100):
        with pytest.raises(WebhookForgedError):
            await certificates.key_at(url(number))
    assert len(certificates._refused) == 1024
    assert (certificates._flights, len(certificates._cache)) == ({}, 0)


async def test_strangers_flights_are_bounded_and_who_comes_later_has_a_chance() -> None:
    fetcher = GatedFetcher()
    certificates = Certificates(fetcher, clock=Clock(), timeout_seconds=600, max_fetches=1)
    flood = [asyncio.create_task(certificates.key_at(url(number))) for number in range(500)]
    await eventually(lambda: sum(task.done() for task in flood) == 439)
    genuine = asyncio.create_task(certificates.key_at(url(1000)))
    await eventually(lambda: sum(task.done() for task in flood) == 440)
    assert len(certificates._flights) == 61
    fetcher.may_answer.release()
    await eventually(lambda: len(fetcher.urls) == 2)
    fetcher.may_answer.release()
    assert await genuine == rsa_key().public_key()
    await certificates.aclose()
    await asyncio.wait(flood)
    refused = {type(task.exception()) for task in flood if not task.cancelled()}
    assert refused == {WebhookUnverifiableError, type(None)}


async def test_few_wait_while_there_are_certificates_to_prove_messages_by() -> None:
    fetcher = GatedFetcher()
    certificates = Certificates(fetcher, clock=Clock(), timeout_seconds=600, max_callers=2)
    fetcher.may_answer.release()
    first = await asyncio.gather(*(certificates.key_at(url(1000)) for _ in range(9)))
    assert len(first) == 9  # before there is one, as many as like
    waiting = [asyncio.create_task(certificates.key_at(url(1))) for _ in range(3)]
    with pytest.raises(WebhookUnverifiableError):
        await waiting[2]
    assert await certificates.key_at(url(1000)) == rsa_key().public_key()
    fetcher.may_answer.release()
    assert len(await asyncio.gather(*waiting[:2])) == 2


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


async def test_one_whose_dates_are_over_takes_no_place_in_the_cache() -> None:
    expired = certificate(rsa_key(), end=NOW - timedelta(seconds=1))
    certificates = Certificates(CountingFetcher(pem=expired), clock=Clock())
    with pytest.raises(WebhookForgedError):
        await certificates.key_at(url(1))
    assert len(certificates._cache) == 0


async def test_closing_ends_a_renewal_under_way() -> None:
    fetcher, clock = GatedFetcher(), Clock()
    certificates = Certificates(fetcher, clock=clock, ttl_seconds=60)
    fetcher.may_answer.release()
    await certificates.key_at(url(1))
    clock.now = NOW + timedelta(seconds=61)
    await certificates.key_at(url(1))
    await eventually(lambda: len(fetcher.urls) == 2)
    (renewal,) = certificates._renewals.values()
    await certificates.aclose()
    assert renewal.cancelled()
    await eventually(lambda: certificates._renewals == {})


async def test_closing_ends_the_fetches_under_way() -> None:
    certificates = Certificates(CountingFetcher(delay_seconds=30), clock=Clock())
    waiting = asyncio.create_task(certificates.key_at(url(1)))
    await asyncio.sleep(0)
    await certificates.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
