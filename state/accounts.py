"""Users and refresh tokens in the database. The ports stand in auth/."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

import errors
from auth.refresh_tokens import KeptToken
from auth.users import User
from state.database import Database
from state.tables import refresh_tokens, users


class UserRepository:
    """Implements auth.users.UserStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: User) -> None:
        row = {**asdict(user), "scopes": sorted(user.scopes)}
        async with self._database.transaction() as connection:
            try:
                await connection.execute(insert(users).values(row))
            except IntegrityError:
                raise errors.UserExistsError from None

    async def by_key(self, username_key: str) -> User | None:
        return await self._one(users.c.username_key == username_key)

    async def by_id(self, user_id: str) -> User | None:
        return await self._one(users.c.id == user_id)

    async def all(self) -> Sequence[User]:
        async with self._database.transaction() as connection:
            rows = await connection.execute(select(users).order_by(users.c.username_key))
            return [_user(row) for row in rows.mappings()]

    async def replace_hash(self, user_id: str, *, old: str, new: str) -> None:
        statement = (
            update(users)
            .where(users.c.id == user_id, users.c.password_hash == old)
            .values(password_hash=new)
        )
        async with self._database.transaction() as connection:
            await connection.execute(statement)

    async def disable(self, user_id: str, at: datetime) -> None:
        statement = (
            update(users)
            .where(users.c.id == user_id, users.c.disabled_at.is_(None))
            .values(disabled_at=at)
        )
        async with self._database.transaction() as connection:
            await connection.execute(statement)

    async def _one(self, condition: Any) -> User | None:
        async with self._database.transaction() as connection:
            rows = await connection.execute(select(users).where(condition))
            row = rows.mappings().one_or_none()
        return None if row is None else _user(row)


def _user(row: RowMapping) -> User:
    return User(**{**row, "scopes": frozenset(row["scopes"])})


_relatives = refresh_tokens.alias("relatives")


class RefreshTokenRepository:
    """Implements auth.refresh_tokens.RefreshTokenStore.

    Every transaction that writes begins with its write: SQLite cannot turn a reader into a
    writer while another one writes.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, token: KeptToken) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(insert(refresh_tokens).values(asdict(token)))

    async def find(self, token_hash: str) -> KeptToken | None:
        revoked_at = (
            select(func.min(_relatives.c.revoked_at))
            .where(_relatives.c.family_id == refresh_tokens.c.family_id)
            .scalar_subquery()
        )
        columns = [column for column in refresh_tokens.c if column.name != "revoked_at"]
        statement = select(*columns, revoked_at.label("revoked_at")).where(
            refresh_tokens.c.token_hash == token_hash
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else KeptToken(**row)

    async def rotate(self, token: KeptToken, successor: KeptToken) -> bool:
        """Postgres lets the second of two at once wait for the first, then sees `used_at`."""
        revoked_relative = exists().where(
            _relatives.c.family_id == token.family_id, _relatives.c.revoked_at.is_not(None)
        )
        use = (
            update(refresh_tokens)
            .where(
                refresh_tokens.c.token_hash == token.token_hash,
                refresh_tokens.c.used_at.is_(None),
                ~revoked_relative,
            )
            .values(used_at=successor.created_at)
        )
        async with self._database.transaction() as connection:
            won = (await connection.execute(use)).rowcount == 1
            if won:
                await connection.execute(insert(refresh_tokens).values(asdict(successor)))
        return won

    async def revoke_family(self, family_id: str, at: datetime) -> None:
        await self._revoke(refresh_tokens.c.family_id == family_id, at)

    async def revoke_user(self, user_id: str, at: datetime) -> None:
        await self._revoke(refresh_tokens.c.user_id == user_id, at)

    async def delete_expired(self, before: datetime) -> int:
        statement = delete(refresh_tokens).where(refresh_tokens.c.expires_at <= before)
        async with self._database.transaction() as connection:
            return (await connection.execute(statement)).rowcount

    async def _revoke(self, condition: Any, at: datetime) -> None:
        statement = (
            update(refresh_tokens)
            .where(condition, refresh_tokens.c.revoked_at.is_(None))
            .values(revoked_at=at)
        )
        async with self._database.transaction() as connection:
            await connection.execute(statement)
