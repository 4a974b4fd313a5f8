"""What grants need of the world."""

from typing import Protocol

from service.grants.model import OpenIdToken, TemporaryCredentials


class IdentityPool(Protocol):
    """One identity pool of Cognito's.

    Raises CognitoThrottledError, CognitoUnavailableError, CognitoAnswerError,
    CognitoRefusedError or IdentityConflictError; nothing else.
    """

    pool_id: str

    async def open_id_token(self, user_id: str, *, seconds: int) -> OpenIdToken:
        """Registers the user as a developer identity, or finds the one there is."""
        ...

    async def credentials(self, open_id: OpenIdToken) -> TemporaryCredentials: ...


class IdentityHistory(Protocol):
    """Who has had which identity in a pool. Raises UnavailableError."""

    async def current(self, pool_id: str, user_id: str) -> str | None: ...

    async def note(self, pool_id: str, user_id: str, identity_id: str) -> str | None:
        """Makes this identity the user's current one; answers the one it replaced, if any.
        Raises IdentityConflictError when the identity is known as another user's.
        """
        ...

    async def owner(self, pool_id: str, identity_id: str) -> str | None:
        """Old identities still resolve to their owner."""
        ...
