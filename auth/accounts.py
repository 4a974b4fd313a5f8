"""Everything about who is calling, behind one door: logins, tokens, users."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import errors
from auth.access_tokens import AccessTokens
from auth.attempts import Attempts, FailureCounts, MemoryCounts
from auth.callers import UPLOADS, Caller, Clock, UnverifiedToken, Verifier, utc_now
from auth.password_login import LoginMethod, PasswordLogin
from auth.passwords import Passwords
from auth.refresh_tokens import (
    IssuedToken,
    RefreshTokens,
    RefreshTokenStore,
    UnverifiedRefreshToken,
)
from auth.revocations import EndedLogins, Revocations
from auth.session_cache import SessionCache
from auth.sessions import Sessions
from auth.shared_attempts import CountsWithSpare
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
        revocations: Revocations,
        clock: Clock = utc_now,
    ) -> None:
        self.revocations = revocations
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
        issued = await self._refresh_tokens.begin_family(user.id)
        return self._pair(self._access_token(user, issued.family_id), issued)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """A new pair with the user's scopes of today. Raises InvalidRefreshTokenError."""
        used = await self._refresh_tokens.check(UnverifiedRefreshToken(refresh_token))
        user = await self._users.by_id(used.user_id)
        if user is None or user.disabled_at is not None:
            raise errors.InvalidRefreshTokenError
        # Made first: one made after a rotation could be younger than the end of its family.
        access_token = self._access_token(user, used.family_id)
        return self._pair(access_token, await self._refresh_tokens.rotate(used))

    async def logout(self, refresh_token: str) -> None:
        """Ends the login that the token belongs to, with its access tokens; nothing happens for an
        unknown token.
        """
        await self._refresh_tokens.revoke(UnverifiedRefreshToken(refresh_token))

    def caller_of(self, access_token: UnverifiedToken) -> Caller | None:
        """As `authenticate`, at once: None where that has to ask somebody."""
        return self._verifier.check(access_token)

    async def authenticate(self, access_token: UnverifiedToken) -> Caller:
        """No database on this path. Raises TokenExpiredError, else InvalidTokenError;
        UnavailableError while it is not known which logins have ended.
        """
        caller = self._verifier.check(access_token)
        return caller if caller is not None else await self._verifier.verify(access_token)

    def stands(self, caller: Caller) -> bool:
        """Whether the login has not ended since: for what goes on for long. Expiry is not asked."""
        return self.revocations.stands(caller)

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
        """No login and no refresh from now on, and no access token is good any more. Raises
        UnknownUserError.
        """
        user = await self._users.by_key(key_of(username))
        if user is None:
            raise errors.UnknownUserError
        await self._users.disable(user.id, self._clock())
        self.revocations.end_user(user.id)
        await self._refresh_tokens.revoke_user(user.id)

    async def list_users(self) -> Sequence[User]:
        return await self._users.all()

    async def delete_expired(self) -> int:
        """Housekeeping: how many expired refresh tokens went."""
        return await self._refresh_tokens.delete_expired()

    def close(self) -> None:
        self._passwords.close()

    def _access_token(self, user: User, family_id: str) -> str:
        return self._access_tokens.issue(user.id, user.username, user.scopes, family_id)

    def _pair(self, access_token: str, refresh_token: IssuedToken) -> TokenPair:
        return TokenPair(
            access_token=access_token,
            expires_in=self._access_tokens.seconds,
            refresh_token=refresh_token.token,
            refresh_expires_in=_seconds(self._clock(), refresh_token.expires_at),
        )


def _seconds(now: datetime, until: datetime) -> int:
    return max(0, int((until - now).total_seconds()))


def _nobody_told(_word: str) -> None:
    pass


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
    session_cache: int,
    revocation_look_seconds: float,
    hash_concurrency: int,
    hash_memory_kib: int,
    hash_iterations: int,
    failures_per_account: int,
    failures_per_address: int,
    failure_window_seconds: float,
    ended_logins: EndedLogins | None = None,
    late_seconds: float = 120,
    tell: Callable[[str], None] = _nobody_told,
    shared_failures: FailureCounts | None = None,
    clock: Clock = utc_now,
) -> Accounts:
    """Passwords kept here, tokens signed here. The values are AuthSettings' by name;
    `ended_logins`, `late_seconds` and `tell` are Revocations'. `shared_failures` counts for all
    replicas.
    """
    passwords = Passwords(
        memory_kib=hash_memory_kib, iterations=hash_iterations, concurrency=hash_concurrency
    )
    counts = MemoryCounts(
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
    revocations = Revocations(
        ended_logins,
        token_seconds=access_token_seconds + leeway_seconds,
        look_seconds=revocation_look_seconds,
        late_seconds=late_seconds,
        tell=tell,
        clock=clock,
    )
    reader = SessionCache(access_tokens, size=session_cache) if session_cache else access_tokens
    counted = counts if shared_failures is None else CountsWithSpare(shared_failures, counts)
    return Accounts(
        users=users,
        login_method=PasswordLogin(users, passwords, Attempts(counted)),
        verifier=Sessions(reader, revocations),
        passwords=passwords,
        access_tokens=access_tokens,
        refresh_tokens=RefreshTokens(
            refresh_tokens,
            seconds=refresh_token_seconds,
            remembered_seconds=revocations.matter_seconds,
            ended=revocations.end_session,
            clock=clock,
        ),
        revocations=revocations,
        clock=clock,
    )
