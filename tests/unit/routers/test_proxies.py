"""Whose X-Forwarded-For is believed: failed logins are counted by the client's address."""

from collections.abc import AsyncIterator

import httpx
import pytest

import errors
from tests.fakes.house import PASSWORD, House, opened_house
from tests.fakes.problems import assert_problem

PROXY, STRANGER = "10.0.0.7", "198.51.100.9"


@pytest.fixture
async def proxied(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("proxied")
    async with opened_house(folder, trusted_proxies=["10.0.0.0/8"]) as house:
        yield house


async def four_failures(house: House, *, via: str, behind: str = "") -> httpx.Response:
    """Each says it comes from elsewhere; the last answer."""
    addresses = [f"203.0.113.{number}{behind}" for number in range(4)]
    answers = [
        await log_in(house, via=via, forwarded=address, password="wrong") for address in addresses
    ]
    return answers[-1]


async def log_in(house: House, *, via: str, forwarded: str, password: str) -> httpx.Response:
    async with house.client(via) as client:
        return await client.post(
            "/v1/auth/login",
            json={"username": "ada", "password": password},
            headers={"X-Forwarded-For": forwarded},
        )


async def test_behind_a_trusted_proxy_each_client_is_counted_alone(proxied: House) -> None:
    for _ in range(3):
        answer = await log_in(proxied, via=PROXY, forwarded=STRANGER, password="wrong")
        assert_problem(answer, errors.InvalidCredentialsError)
    answer = await log_in(proxied, via=PROXY, forwarded=STRANGER, password=PASSWORD)
    assert_problem(answer, errors.TooManyAttemptsError)
    answer = await log_in(proxied, via=PROXY, forwarded="192.0.2.50", password=PASSWORD)
    assert answer.status_code == 200


async def test_a_client_cannot_forge_its_way_through_a_trusted_proxy(proxied: House) -> None:
    answer = await four_failures(proxied, via=PROXY, behind=f", {STRANGER}")
    assert_problem(answer, errors.TooManyAttemptsError)


async def test_a_stranger_is_counted_where_it_comes_from_whatever_it_says(
    proxied: House,
) -> None:
    answer = await four_failures(proxied, via=STRANGER)
    assert_problem(answer, errors.TooManyAttemptsError)


async def test_without_trusted_proxies_nobody_is_believed(house: House) -> None:
    answer = await four_failures(house, via="10.9.9.9")
    assert_problem(answer, errors.TooManyAttemptsError)
