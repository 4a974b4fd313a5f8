"""The way to log in that needs nothing else: user name and password, kept here."""

from typing import Protocol

import errors
from auth.attempts import Attempts
from auth.passwords import MAX_LENGTH, Passwords
from auth.usernames import key_of
from auth.users import User, UserStore


class LoginMethod(Protocol):
    """One way to find the user behind a name and a secret."""

    async def user_for(self, username: str, password: str, address: str) -> User:
        """Raises InvalidCredentialsError, the same for every reason; TooManyAttemptsError."""
        ...


class PasswordLogin:
    """Says the same, as slowly, for an unknown user, a disabled one and a wrong password."""

    def __init__(self, users: UserStore, passwords: Passwords, attempts: Attempts) -> None:
        self._users = users
        self._passwords = passwords
        self._attempts = attempts

    async def user_for(self, username: str, password: str, address: str) -> User:
        if len(password) > MAX_LENGTH:
            raise errors.InvalidCredentialsError
        key = _key_or_none(username)
        async with self._attempts.counted(key or "", address):
            user = await self._users.by_key(key) if key else None
            if user is None:
                await self._passwords.verify_nobodys(password)
                raise errors.InvalidCredentialsError
            if not await self._passwords.verify(user.password_hash, password):
                raise errors.InvalidCredentialsError
            if user.disabled_at is not None:
                raise errors.InvalidCredentialsError
        await self._renew_hash(user, password)
        return user

    async def _renew_hash(self, user: User, password: str) -> None:
        """Today's parameters, while the password is at hand. It can wait for a quieter time."""
        if not self._passwords.is_outdated(user.password_hash):
            return
        try:
            new = await self._passwords.hash(password)
        except (errors.OverloadedError, errors.InvalidRequestError):
            return
        await self._users.replace_hash(user.id, old=user.password_hash, new=new)


def _key_or_none(username: str) -> str | None:
    try:
        return key_of(username)
    except errors.InvalidRequestError:
        return None
