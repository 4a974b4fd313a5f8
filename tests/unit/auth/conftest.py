from collections.abc import Iterator

import pytest

from auth.accounts import Accounts
from tests.unit.auth import fakes


@pytest.fixture
def clock() -> fakes.Clock:
    return fakes.Clock()


@pytest.fixture
def users() -> fakes.MemoryUsers:
    return fakes.MemoryUsers()


@pytest.fixture
def kept_tokens() -> fakes.MemoryRefreshTokens:
    return fakes.MemoryRefreshTokens()


@pytest.fixture
def accounts(
    users: fakes.MemoryUsers, kept_tokens: fakes.MemoryRefreshTokens, clock: fakes.Clock
) -> Iterator[Accounts]:
    opened = fakes.accounts(users, kept_tokens, clock)
    yield opened
    opened.close()
