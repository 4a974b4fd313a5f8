import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import errors
from auth.passwords import Passwords


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    opened = Passwords(memory_kib=8, iterations=1, concurrency=1, max_waiting=1)
    yield opened
    opened.close()


async def test_a_hash_verifies_its_own_password_only(passwords: Passwords) -> None:
    hashed = await passwords.hash("correct horse")
    assert hashed.startswith("$argon2id$")
    assert await passwords.verify(hashed, "correct horse")
    assert not await passwords.verify(hashed, "correct horsf")
    assert not await passwords.verify("no hash at all", "correct horse")
    assert not await passwords.verify_nobodys("correct horse")


@pytest.mark.parametrize("password", ["short", "x" * 1025])
async def test_a_length_out_of_bounds_is_never_hashed(passwords: Passwords, password: str) -> None:
    with pytest.raises(errors.InvalidRequestError):
        await passwords.hash(password)


async def test_a_password_is_the_same_however_it_is_typed(passwords: Passwords) -> None:
    assert await passwords.verify(await passwords.hash("caf\u00e9 au lait"), "cafe\u0301 au lait")


async def test_lone_surrogates_are_no_failure(passwords: Passwords) -> None:
    assert not await passwords.verify_nobodys("\ud800" * 8)


async def test_other_parameters_make_a_hash_outdated(passwords: Passwords) -> None:
    hashed = await passwords.hash("correct horse")
    stronger = Passwords(memory_kib=16, iterations=1, concurrency=1)
    assert not passwords.is_outdated(hashed)
    assert stronger.is_outdated(hashed)
    stronger.close()


async def test_the_loop_is_free_and_the_queue_is_bounded(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = await passwords.hash("correct horse")
    gate, seen = threading.Event(), set[str]()

    def slow(*_: Any) -> bool:
        seen.add(threading.current_thread().name)
        return gate.wait(10)

    monkeypatch.setattr(passwords, "_matches", slow)
    held = [asyncio.create_task(passwords.verify(hashed, "one at work")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(errors.OverloadedError) as refused:
        await passwords.verify(hashed, "one too many")
    gate.set()
    assert refused.value.retry_after == 1
    assert await asyncio.gather(*held) == [True, True]
    assert seen == {"argon2_0"}
    assert await passwords.verify(hashed, "room again")
