"""The least that a warm grant can be: the caller's token is checked with PyJWT, by the way of
FastAPI's own tutorial ("OAuth2 with Password (and hashing), Bearer with JWT tokens"), and the same
JSON is answered, of a token that is at hand.
"""

import os
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, HTTPException, status
from fastapi.security import OAuth2PasswordBearer
from jwt.exceptions import InvalidTokenError

from benchmarks.cognito_stub import POOL, identity_of, open_id_token
from benchmarks.peers.grant import grant

_NAME = "uploadgate"  # issuer and audience alike
_REFUSED = HTTPException(
    status_code=status.HTTP_401_UNAUTHORIZED,
    detail="Could not validate credentials",
    headers={"WWW-Authenticate": "Bearer"},
)
_bearer = OAuth2PasswordBearer(tokenUrl="token")


def create_app() -> FastAPI:
    app = FastAPI()
    key = os.environ["BENCH_SIGNING_KEY"]
    identity_id = identity_of("usr_0")
    token_at_hand = open_id_token("usr_0", pool=POOL, seconds=900, number=0)

    async def current_user(token: Annotated[str, Depends(_bearer)]) -> str:
        try:
            payload = jwt.decode(
                token,
                key,
                algorithms=["HS256"],
                issuer=_NAME,
                audience=_NAME,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except InvalidTokenError:
            raise _REFUSED from None
        user: str = payload["sub"]
        return user

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/credentials")
    async def create_grant(_user: Annotated[str, Depends(current_user)]) -> dict[str, Any]:
        return grant(POOL, identity_id, token_at_hand)

    return app
