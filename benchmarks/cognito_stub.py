"""`python -m benchmarks.cognito_stub`: a Cognito that costs little, is as slow as it is told, and
keeps count of who calls.

It speaks enough of the JSON 1.1 protocol for botocore, believes every signature, and knows two
calls: GetOpenIdTokenForDeveloperIdentity and GetCredentialsForIdentity. `POST /_control` changes it
while it runs (`{"latency_ms": 200, "cap": 50, "hang": true, "fail": "CODE", "reset": true}`),
`GET /_counts` says what it has seen.
"""

import argparse
import asyncio
import json
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import uvloop

from benchmarks.calls import Calls
from benchmarks.cognito_wire import BAD, FAULT, OK, Connection

POOL = "us-east-1:1a2b3c4d-0000-4000-8000-0123456789ab"
_DEVELOPER = b"awscognitoidentityservice.getopenidtokenfordeveloperidentity"
_PUBLIC = b"awscognitoidentityservice.getcredentialsforidentity"
_SIGNATURE = "s" * 342  # as RS512 with 2,048 bits makes
_ARN = "arn:aws:cognito-identity:us-east-1:123456789012:identitypool"
_HOUR = 3600


def identity_of(user_id: str) -> str:
    """Always the same of a user."""
    return f"us-east-1:{uuid5(NAMESPACE_URL, user_id)}"


@dataclass
class CognitoStub:
    """Seconds. `calls` are the developer calls, `exchanges` those for credentials: each has a quota
    of its own at AWS. `cap` is of the former, in any sliding second. `hang` takes calls and never
    answers them, those that came while it was on neither later; `fail` refuses all with this code.
    """

    latency: float = 0
    cap: int | None = None
    hang: bool = False
    fail: str | None = None
    url: str = ""
    calls: Calls = field(default_factory=Calls)
    exchanges: Calls = field(default_factory=Calls)
    connections: set[Connection] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def running(
        cls, *, latency: float = 0, cap: int | None = None, port: int = 0
    ) -> AsyncIterator["CognitoStub"]:
        """In this event loop, on loopback; port 0 takes a free one."""
        stub = cls(latency=latency, cap=cap)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(stub, stub.connections), "127.0.0.1", port, backlog=4096
        )
        stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield stub
        finally:
            server.close()
            for connection in list(stub.connections):
                connection.close()
            await server.wait_closed()

    def reset(self) -> None:
        """Forgets what it has counted."""
        self.calls, self.exchanges = Calls(), Calls()

    def control(self, told: dict[str, Any]) -> None:
        if "latency_ms" in told:
            self.latency = told["latency_ms"] / 1000
        self.cap = told.get("cap", self.cap)
        self.hang = told.get("hang", self.hang)
        self.fail = told.get("fail", self.fail)
        if told.get("reset"):
            self.reset()

    def told(self) -> dict[str, int]:
        return {**self.calls.told(), "exchanges": self.exchanges.total}

    def answer(self, head: bytes, body: bytes) -> tuple[str, Any]:
        """Status and body of one call to Cognito; the head in small letters."""
        asked = json.loads(body)
        developer = _DEVELOPER in head
        if not developer and _PUBLIC not in head:
            return BAD, {"__type": "UnknownOperationException"}
        user_id = next(iter(asked["Logins"].values())) if developer else None
        counted, cap = (self.calls, self.cap) if developer else (self.exchanges, None)
        if not counted.came(user_id, cap):
            return BAD, {"__type": "TooManyRequestsException", "message": "Rate exceeded"}
        if self.fail is not None:
            status = FAULT if self.fail == "InternalErrorException" else BAD
            return status, {"__type": self.fail, "message": "as it was told"}
        if user_id is None:
            return OK, _credentials(asked["IdentityId"])
        return OK, self._open_id(user_id, asked)

    def _open_id(self, user_id: str, asked: dict[str, Any]) -> dict[str, str]:
        token = open_id_token(
            user_id,
            pool=asked["IdentityPoolId"],
            seconds=asked.get("TokenDuration", 900),
            number=self.calls.total,
        )
        return {"IdentityId": identity_of(user_id), "Token": token}


def open_id_token(user_id: str, *, pool: str, seconds: int, number: int) -> str:
    """Of the shape and length of Cognito's; its signature is none. `number` tells tokens apart."""
    now = int(time.time())
    claims = {
        "sub": identity_of(user_id),
        "aud": pool,
        "amr": ["authenticated", "login.uploadgate", f"login.uploadgate:{pool}:{user_id}"],
        "iss": "https://cognito-identity.amazonaws.com",
        "https://cognito-identity.amazonaws.com/identity-pool-arn": f"{_ARN}/{pool}",
        "exp": now + seconds,
        "iat": now,
        "jti": f"{number:032x}",
    }
    return f"{_TOKEN_HEAD}.{_text(claims)}.{_SIGNATURE}"


def _credentials(identity_id: str) -> dict[str, Any]:
    keys = {
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretKey": "an example of a secret",
        "SessionToken": "t" * 1000,
        "Expiration": time.time() + _HOUR,
    }
    return {"IdentityId": identity_id, "Credentials": keys}


def _text(part: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


_TOKEN_HEAD = _text({"kid": "us-east-11", "typ": "JWS", "alg": "RS512"})


async def _serve(port: int, latency: float, cap: int | None) -> None:
    async with CognitoStub.running(latency=latency, cap=cap, port=port) as stub:
        print(stub.url, flush=True)
        await asyncio.get_running_loop().create_future()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cognito_stub")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--cap", type=int, help="Calls answered in any sliding second.")
    options = parser.parse_args()
    uvloop.run(_serve(options.port, options.latency_ms / 1000, options.cap))
    return 0


if __name__ == "__main__":
    sys.exit(main())
