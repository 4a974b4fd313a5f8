"""From a grant to temporary credentials: at Cognito itself, or by the service's exchange."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from client.api import Api
from client.problems import CredentialsError
from client.wire import Grant, Keys, Place

Way = Literal["cognito", "exchange"]

REASONS = {
    "policy": "the policy allows none to this user (a profile has a limit)",
    "cognito_not_configured": "no identity pool is configured",
    "cognito_throttled": "Cognito asks to slow down; try again in a while",
    "cognito_unavailable": "Cognito does not answer; try again in a while",
}
PASSING = frozenset({"cognito_throttled", "cognito_unavailable"})


@dataclass(frozen=True, slots=True)
class Issued:
    """Keys, where they may write, and how far the service's clock is ahead of this one."""

    keys: Keys
    place: Place
    skew: timedelta

    @property
    def expires_at_here(self) -> datetime:
        """When they expire, as this machine's clock will show it."""
        return self.keys.expires_at - self.skew


def now() -> datetime:
    return datetime.now(UTC)


class CredentialSource:
    """Issues credentials as often as they are needed, each time under a grant of that moment."""

    def __init__(
        self,
        api: Api,
        way: Way = "cognito",
        *,
        at_cognito: Callable[[Grant], Keys] | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._api = api
        self._way = way
        self._at_cognito = at_cognito
        self._clock = clock

    def issue(self) -> Issued:
        """Raises CredentialsError, or the ApiError that says why there are none."""
        asked = self._clock()
        if self._way == "exchange":
            answer = self._api.exchange()
            return Issued(answer.keys, answer.place, self._skew(asked, answer.server_time))
        grant = self._api.grant("auto")
        # Before the exchange: the skew is between the grant's own request and its answer.
        skew = self._skew(asked, grant.server_time)
        return Issued(self.redeem(grant), grant.place, skew)

    def redeem(self, grant: Grant) -> Keys:
        """Exchanges the grant's OpenID token at Cognito. Raises CredentialsError."""
        if grant.mode != "cognito":
            reason = grant.reason or ""
            raise CredentialsError(
                REASONS.get(reason, f"the grant is {grant.mode}"), passing=reason in PASSING
            )
        return (self._at_cognito or _at_cognito)(grant)

    def _skew(self, asked: datetime, server_time: datetime) -> timedelta:
        return server_time - (asked + (self._clock() - asked) / 2)


def _at_cognito(grant: Grant) -> Keys:
    from client.cognito import credentials_for  # noqa: PLC0415 - botocore takes long to load

    return credentials_for(grant)
