"""Users in any number, each with an access token as the service itself would have made it."""

from auth.access_tokens import AccessTokens
from auth.callers import UPLOADS

_LONG = 4 * 3600


def tokens(signing_key: str, count: int) -> list[str]:
    """For a service that runs with this signing key; some 30 µs each."""
    issuer = AccessTokens(
        signing_key=signing_key,
        issuer="uploadgate",
        audience="uploadgate",
        seconds=_LONG,
        leeway_seconds=0,
    )
    return [
        issuer.issue(f"usr_{number:032x}", f"user-{number}", [UPLOADS], f"{number:032x}")
        for number in range(count)
    ]
