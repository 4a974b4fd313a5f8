"""Which user is which identity: kept in SQLite, read from memory."""

import asyncio
import re
import sqlite3
import uuid
from pathlib import Path
from typing import NewType

from localcloud.cognito.errors import (
    DeveloperUserAlreadyRegisteredException,
    ResourceNotFoundException,
)

# Made by this server only, so a policy variable never meets a `*` or `?` of somebody's choosing.
IdentityId = NewType("IdentityId", str)
_SUBJECT = re.compile(r"[A-Za-z0-9:_-]+")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS developer_user (
  provider TEXT NOT NULL, user TEXT NOT NULL, identity TEXT NOT NULL REFERENCES identity,
  PRIMARY KEY (provider, user)
) WITHOUT ROWID;
"""


class Identities:
    """The identities of one pool. Of many calls for one new user at once, one makes it."""

    def __init__(self, file: Path, region: str) -> None:
        """Open or make the database; blocking, once at the start."""
        self._region = region
        self._writing = asyncio.Lock()
        file.touch(mode=0o600)
        # One connection, used by one thread at a time: the lock above sees to it.
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_SCHEMA)
        self._known = {
            IdentityId(row[0]) for row in self._database.execute("SELECT id FROM identity")
        }
        users = self._database.execute("SELECT provider, user, identity FROM developer_user")
        self._by_user = {(row[0], row[1]): IdentityId(row[2]) for row in users}

    def close(self) -> None:
        self._database.close()

    def find(self, unverified_id: str) -> IdentityId:
        """Give the id if it is one of this pool's. ResourceNotFoundException otherwise."""
        identity = IdentityId(unverified_id)
        if identity not in self._known:
            raise ResourceNotFoundException(f"Identity '{unverified_id}' not found.")
        return identity

    async def of_user(self, provider: str, user: str, asked: str | None = None) -> IdentityId:
        """Give the user's identity, making one for a new user.

        With `asked`, a new user is linked to that existing identity, as AWS does.
        ResourceNotFoundException when there is no such identity,
        DeveloperUserAlreadyRegisteredException when the user has another.
        """
        bound = self._by_user.get((provider, user))
        if bound is None:
            # Shielded: a caller that gives up must not leave half of it done.
            bound = await asyncio.shield(self._bind(provider, user, asked))
        if asked is not None and self.find(asked) != bound:
            raise DeveloperUserAlreadyRegisteredException(
                "The developer user identifier is registered with another identity."
            )
        return bound

    async def _bind(self, provider: str, user: str, asked: str | None) -> IdentityId:
        async with self._writing:
            bound = self._by_user.get((provider, user))
            if bound is not None:
                return bound
            identity = self._new_id() if asked is None else self.find(asked)
            await asyncio.to_thread(self._write, provider, user, identity)
            self._known.add(identity)
            self._by_user[provider, user] = identity
            return identity

    def _write(self, provider: str, user: str, identity: IdentityId) -> None:
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("INSERT OR IGNORE INTO identity VALUES (?)", (identity,))
            row = (provider, user, identity)
            self._database.execute("INSERT INTO developer_user VALUES (?, ?, ?)", row)

    def _new_id(self) -> IdentityId:
        identity = f"{self._region}:{uuid.uuid4()}"
        if not _SUBJECT.fullmatch(identity):
            raise AssertionError(f"{identity} would be a wildcard in a policy")
        return IdentityId(identity)
