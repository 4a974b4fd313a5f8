"""The service's own access tokens as a proof of who calls."""

from auth.callers import Caller, UnverifiedToken
from auth.revocations import Revocations
from auth.session_cache import TokenReader


class Sessions:
    """Implements auth.callers.Verifier. Nobody ever has to be asked."""

    def __init__(self, tokens: TokenReader, revocations: Revocations) -> None:
        self._tokens = tokens
        self._revocations = revocations

    def check(self, token: UnverifiedToken) -> Caller:
        caller = self._tokens.read(token).caller
        self._revocations.check(caller)
        return caller

    async def verify(self, token: UnverifiedToken) -> Caller:
        return self.check(token)
