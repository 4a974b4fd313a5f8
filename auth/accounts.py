"""Everything about who is calling, behind one door: logins, tokens, users."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import errors
from auth.access_tokens import AccessTokens
from auth.attempts import Attempts
from auth.callers import UPLOADS, Caller, Clock, UnverifiedToken, Verifier, utc_now
from auth.password_login import LoginMethod, PasswordLogin
from auth.passwords import Passwords
from auth.refresh_tokens import (
    IssuedToken,
    RefreshTokens,
    RefreshTokenStore,
    UnverifiedRefreshToken,
)
from auth.usernames import key_of
from auth.users import User, UserStore, new_user_id


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login yields. Lives in whole seconds from now."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)
    refresh_expires_in: int


class Accounts:
    """Open until `close`. Other ways to log in are other LoginMethods, other proofs of who
    calls (another issuer's tokens, a session) other Verifiers.
    """

    def __init__(
        self,
        *,
        users: UserStore,
        login_method: LoginMethod,
        verifier: Verifier,
        passwords: Passwords,
        access_tokens: AccessTokens,
        refresh_tokens: RefreshTokens,
        clock: Clock = utc_now,
    ) -> None:
        self._users = users
        self._login_method = login_method
        self._verifier = verifier
        self._passwords = passwords
        self._access_tokens = access_tokens
        self._refresh_tokens = refresh_tokens
        self._clock = clock

    async def login(self, username: str, password: str, address: str) -> TokenPair:
        """`address` is the client's: failures are counted by it.

        Raises InvalidCredentialsError, TooManyAttemptsError, OverloadedError.
        """
        user = await self._login_method.user_for(username, password, address)
        return self._pair(user, await self._refresh_tokens.begin_family(user.id))

    async def refresh(self, refresh_token: str) -> TokenPair:
        """A new pair with the user's scopes of today. Raises InvalidRefreshTokenError."""
        used = await self._refresh_tokens.check(UnverifiedRefreshToken(refresh_token))
        user = await self._users.by_id(used.user_id)
        if user is None or user.disabled_at is not None:
            raise errors.InvalidRefreshTokenError
        return self._pair(user, await self._refresh_tokens.rotate(used))

    async def logout(self, refresh_token: str) -> None:
        """Ends the login that the token belongs to; nothing happens for an unknown token.
        Access tokens already given out live on until they expire.
        """
        await self._refresh_tokens.revoke(UnverifiedRefreshToken(refresh_token))

    async def authenticate(self, access_token: UnverifiedToken) -> Caller:
        """No database on this path. Raises TokenExpiredError, else InvalidTokenError."""
        return await self._verifier.verify(access_token)

    async def add_user(
        self, username: str, password: str, scopes: Iterable[str] = (UPLOADS,)
    ) -> User:
        """Raises InvalidRequestError (name or password out of bounds), UserExistsError."""
        key = key_of(username)
        user = User(
            id=new_user_id(),
            username=username,
            username_key=key,
            password_hash=await self._passwords.hash(password),
            scopes=frozenset(scopes),
            created_at=self._clock(),
        )
        await self._users.add(user)
        return user

    async def ensure_user(
        self, username: str, password: str, scopes: Iterable[str] = (UPLOADS,)
    ) -> User:
        """The user of that name, added if missing. One who exists keeps password and scopes."""
        found = await self._users.by_key(key_of(username))
        if found is not None:
            return found
        return await self.add_user(username, password, scopes)

    async def disable_user(self, username: str) -> None:
        """No login and no refresh from now on. Raises UnknownUserError."""
        user = await self._users.by_key(key_of(username))
        if user is None:
            raise errors.UnknownUserError
        await self._users.disable(user.id, self._clock())
        await self._refresh_tokens.revoke_user(user.id)

    async def list_users(self) -> Sequence[User]:
        return await self._users.all()

    async def delete_expired(self) -> int:
        """Housekeeping: how many expired refresh tokens went."""
        return await self._refresh_tokens.delete_expired()

    def close(self) -> None:
        self._passwords.close()

    def _pair(self, user: User, refresh_token: IssuedToken) -> TokenPair:
        return TokenPair(
            access_token=self._access_tokens.issue(user.id, user.username, user.scopes),
            expires_in=self._access_tokens.seconds,
            refresh_token=refresh_token.token,
            refresh_expires_in=_seconds(self._clock(), refresh_token.expires_at),
        )


def _seconds(now: datetime, until: datetime) -> int:
    return max(0, int((until - now).total_seconds()))


def build(
    *,
    users: UserStore,
    refresh_tokens: RefreshTokenStore,
    signing_key: str,
    previous_signing_keys: Sequence[str],
    issuer: str,
    audience: str,
    access_token_seconds: int,
    refresh_token_seconds: int,
    leeway_seconds: int,
    hash_concurrency: int,
    hash_memory_kib: int,
    hash_iterations: int,
    failures_per_account: int,
    failures_per_address: int,
    failure_window_seconds: float,
    clock: Clock = utc_now,
) -> Accounts:
    """Passwords kept here, tokens signed here. The values are AuthSettings' by name."""
    passwords = Passwords(
        memory_kib=hash_memory_kib, iterations=hash_iterations, concurrency=hash_concurrency
    )
    attempts = Attempts(
        per_account=failures_per_account,
        per_address=failures_per_address,
        window_seconds=failure_window_seconds,
    )
    access_tokens = AccessTokens(
        signing_key=signing_key,
        previous_signing_keys=previous_signing_keys,
        issuer=issuer,
        audience=audience,
        seconds=access_token_seconds,
        leeway_seconds=leeway_seconds,
        clock=clock,
    )
    return Accounts(
        users=users,
        login_method=PasswordLogin(users, passwords, attempts),
        verifier=access_tokens,
        passwords=passwords,
        access_tokens=access_tokens,
        refresh_tokens=RefreshTokens(refresh_tokens, seconds=refresh_token_seconds, clock=clock),
        clock=clock,
    )
