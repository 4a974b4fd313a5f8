"""OpenID tokens that replicas share, and who asks for one just now, in Valkey or Redis.

A user has two keys, in one slot of a cluster: the token, a hash of when it is to be replaced (in
microseconds) and of the sealed rest; and the claim, which ends by itself.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from redis.asyncio import Redis

from service.grants.model import KeptToken, OpenIdToken
from service.grants.ports import Claim
from state.redis_clients import told
from state.sealing import Seal

_log = structlog.get_logger("uploadgate.state")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# A token that cannot be opened (ARGV[4]) goes, or no other could ever be kept.
# What is no hash, empty, or a claim without an end is not ours, and would stand for ever.
_GET_OR_CLAIM = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
if redis.call('PTTL', KEYS[2]) == -1 then redis.call('DEL', KEYS[2]) end
local known = redis.call('HMGET', KEYS[1], 'refresh', 'sealed')
if known[2] == '' then known = {} end
if ARGV[4] ~= '' and known[2] == ARGV[4] then
    redis.call('DEL', KEYS[1])
    known = {}
end
if known[1] and known[2] and (tonumber(known[1]) or 0) > tonumber(ARGV[1]) then
    return known[2]
end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return 1 end
return 0
"""
_KEEP = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' then redis.call('DEL', KEYS[1]) end
local known = tonumber(redis.call('HGET', KEYS[1], 'refresh') or 0)
if not known or known <= tonumber(ARGV[1]) or redis.call('HGET', KEYS[1], 'sealed') == '' then
    redis.call('HSET', KEYS[1], 'refresh', ARGV[1], 'sealed', ARGV[2])
    redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
local claim = redis.call('TYPE', KEYS[2]).ok
if claim == 'string' and redis.call('GET', KEYS[2]) == ARGV[4] then redis.call('DEL', KEYS[2]) end
return 1
"""
_RELEASE = """
local claim = redis.call('TYPE', KEYS[1]).ok
if claim == 'string' and redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


class RedisSharedTokens:
    """Implements service.grants.ports.SharedTokens for one pool; each is one round trip.

    What a replica cannot open counts as absent: a value from elsewhere, or sealed by a signing
    key that this replica has not been given yet.
    """

    def __init__(self, client: Redis, seal: Seal, *, prefix: str, pool_id: str) -> None:
        self._seal = seal
        self._prefix = prefix
        self._pool_id = pool_id
        self._get_or_claim = client.register_script(_GET_OR_CLAIM)
        self._keep = client.register_script(_KEEP)
        self._release = client.register_script(_RELEASE)

    async def get_or_claim(
        self, user_id: str, *, better_than: datetime, lease_seconds: float
    ) -> KeptToken | Claim | None:
        claim = Claim(uuid4().hex)
        keys = self._keys(user_id)
        args: list[Any] = [_number(better_than), claim, max(1, round(lease_seconds * 1000)), b""]
        for _ in range(2):
            with told():
                found: bytes | int = await self._get_or_claim(keys=keys, args=args)
            if isinstance(found, int):
                return claim if found else None
            kept = self._opened(found, keys[0])
            if kept is not None and kept.refresh_after > better_than:
                return kept
            _log.warning("grants.shared_token_unreadable", user_id=user_id)
            args[3] = found
        return None  # another replica has just kept one, with its newer key

    async def keep(self, user_id: str, kept: KeptToken, claim: Claim | None) -> None:
        keys = self._keys(user_id)
        sealed = self._seal.close(_packed(kept), keys[0])
        life = _number(kept.expires_at) // 1000
        with told():
            await self._keep(
                keys=keys, args=[_number(kept.refresh_after), sealed, life, claim or b""]
            )

    async def release(self, user_id: str, claim: Claim) -> None:
        with told():
            await self._release(keys=self._keys(user_id)[1:], args=[claim])

    def _keys(self, user_id: str) -> list[bytes]:
        """Of the token and of the claim. What stands in braces decides on the slot."""
        owner = f"{{{self._pool_id}:{user_id}}}"
        return [f"{self._prefix}:{kind}:{owner}".encode() for kind in ("grant", "claim")]

    def _opened(self, sealed: bytes, key: bytes) -> KeptToken | None:
        opened = self._seal.opened(sealed, key)
        return None if opened is None else _unpacked(opened)


def _packed(kept: KeptToken) -> bytes:
    times = _number(kept.expires_at), _number(kept.refresh_after)
    return json.dumps([kept.open_id.identity_id, kept.open_id.token, *times]).encode()


def _unpacked(packed: bytes) -> KeptToken:
    """Of what was packed here, as the seal proves; another shape has another `purpose`."""
    identity_id, token, expires_at, refresh_after = json.loads(packed)
    return KeptToken(
        open_id=OpenIdToken(identity_id, token),
        expires_at=_moment(expires_at),
        refresh_after=_moment(refresh_after),
    )


def _number(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND
