"""The users that the service knows by itself, and where they are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class User:
    """`username` as it was given, `username_key` as it is compared."""

    id: str
    username: str
    username_key: str
    password_hash: str = field(repr=False)
    scopes: frozenset[str]
    created_at: datetime
    disabled_at: datetime | None = None


class UserStore(Protocol):
    async def add(self, user: User) -> None:
        """Raises UserExistsError where the key is taken."""
        ...

    async def by_key(self, username_key: str) -> User | None: ...

    async def by_id(self, user_id: str) -> User | None: ...

    async def all(self) -> Sequence[User]:
        """In the order of their keys."""
        ...

    async def replace_hash(self, user_id: str, *, old: str, new: str) -> None:
        """Compare-and-set: a password that was changed meanwhile stays."""
        ...

    async def disable(self, user_id: str, at: datetime) -> None:
        """Keeps the first time when done twice."""
        ...


def new_user_id() -> str:
    """Only `[A-Za-z0-9:_-]`: the id becomes a token's subject and a folder's name, where a
    `*` or `?` would act as a wildcard in a policy variable.
    """
    return f"usr_{uuid4().hex}"
