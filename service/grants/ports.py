"""What grants need of the world."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NewType, Protocol

from service.grants.model import KeptToken, OpenIdToken, TemporaryCredentials


class IdentityPool(Protocol):
    """One identity pool of Cognito's.

    Raises CognitoThrottledError, CognitoUnavailableError, CognitoAnswerError,
    CognitoRefusedError or IdentityConflictError; nothing else. Never repeats a call by itself:
    each one counts against the quota.
    """

    pool_id: str

    async def open_id_token(self, user_id: str, *, seconds: int) -> OpenIdToken:
        """Registers the user as a developer identity, or finds the one there is."""
        ...

    async def credentials(self, open_id: OpenIdToken) -> TemporaryCredentials: ...


class IdentityHistory(Protocol):
    """Who has had which identity in a pool. Raises UnavailableError. The two for many users take
    one trip to the database for all of them, in the rule.
    """

    async def current(self, pool_id: str, user_id: str) -> str | None: ...

    async def current_of_many(self, pool_id: str, user_ids: Collection[str]) -> Mapping[str, str]:
        """User id to identity; users without one are left out."""
        ...

    async def note(self, pool_id: str, user_id: str, identity_id: str) -> str | None:
        """Makes this identity the user's current one; answers the one it replaced, if any.
        Raises IdentityConflictError when the identity is known as another user's.
        """
        ...

    async def note_new(self, pool_id: str, identities: Mapping[str, str]) -> Collection[str]:
        """Makes them (user id to identity) current for those users who have none yet, and answers
        whose identity is current now. The others, conflicts among them, are for `note`.
        """
        ...

    async def owner(self, pool_id: str, identity_id: str) -> str | None:
        """Old identities still resolve to their owner."""
        ...


class CallRate(Protocol):
    """The rate at which all replicas together may make one call of Cognito's, evenly spaced."""

    async def turn(self, *, within: float, background: bool = False) -> float:
        """Seconds until this caller's turn, which is taken for it. Where it would come later than
        `within` seconds, none is taken: raises CognitoThrottledError with `retry_after` (and
        `rate_limit`) at once. A call in the background has a turn only where interactive callers
        leave room: nobody waits, and a part of the rate is free. Raises UnavailableError.
        """
        ...


Claim = NewType("Claim", str)
"""Proves that this replica is the one that asks Cognito for a user."""


class SharedTokens(Protocol):
    """What replicas share of users' tokens in one pool. All raise UnavailableError."""

    async def get_or_claim(
        self, user_id: str, *, better_than: datetime, lease_seconds: float
    ) -> KeptToken | Claim | None:
        """The user's token if it is to be replaced later than `better_than`. Else a claim, which
        ends by itself after `lease_seconds`; None while another replica has it.
        """
        ...

    async def keep(self, user_id: str, kept: KeptToken, claim: Claim | None) -> None:
        """Until it expires. Ends the claim, if that is still this replica's."""
        ...

    async def release(self, user_id: str, claim: Claim) -> None:
        """Ends the claim without a token."""
        ...
