"""Failed logins in Valkey or Redis, counted for all replicas."""

import asyncio
import hashlib

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from auth.attempts import Attempt, Outcome
from state.redis_clients import told

# An attempt whose replica died counts as being tried for so long.
_LEASE_SECONDS = 60

# KEYS: failures and what is being tried, of the account; the same of the network. Times are the
# server's own, in milliseconds. ARGV: limit of the one, limit of the other, window, lease, id.
_BEGIN = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local window, lease = tonumber(ARGV[3]), tonumber(ARGV[4])
local wait = 0
for each = 1, 2 do
  local failed, tried = KEYS[2 * each - 1], KEYS[2 * each]
  local limit = tonumber(ARGV[each])
  redis.call('ZREMRANGEBYSCORE', failed, '-inf', now - window)
  redis.call('ZREMRANGEBYSCORE', tried, '-inf', now)
  local failures = redis.call('ZCARD', failed)
  if failures >= limit then
    local oldest = redis.call('ZRANGE', failed, 0, 0, 'WITHSCORES')
    wait = math.max(wait, tonumber(oldest[2]) + window - now)
  elseif failures + redis.call('ZCARD', tried) >= limit then
    wait = math.max(wait, 1000)
  end
end
if wait == 0 then
  for each = 2, 4, 2 do
    redis.call('ZADD', KEYS[each], now + lease, ARGV[5])
    redis.call('PEXPIRE', KEYS[each], lease)
  end
end
return wait
"""

# The same KEYS. ARGV as well, and the outcome.
_END = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for each = 1, 2 do
  local failed, tried = KEYS[2 * each - 1], KEYS[2 * each]
  redis.call('ZREM', tried, ARGV[5])
  if ARGV[6] == 'FAILED' then
    redis.call('ZADD', failed, now, ARGV[5])
    redis.call('ZREMRANGEBYRANK', failed, 0, -tonumber(ARGV[each]) - 1)
    redis.call('PEXPIRE', failed, ARGV[3])
  end
end
if ARGV[6] == 'SUCCEEDED' then
  redis.call('DEL', KEYS[1])
end
return 0
"""


class RedisCounts:
    """Implements auth.attempts.FailureCounts. Nothing is kept for longer than the window, nothing
    grows beyond the limits. `timeout_seconds` is for one command with getting a connection.
    """

    def __init__(
        self,
        client: Redis,
        *,
        prefix: str,
        per_account: int,
        per_address: int,
        window_seconds: float,
        timeout_seconds: float,
    ) -> None:
        self._prefix = prefix
        self._timeout_seconds = timeout_seconds
        window, lease = round(window_seconds * 1000), _LEASE_SECONDS * 1000
        self._bounds: tuple[int, ...] = (per_account, per_address, window, lease)
        self._begin = client.register_script(_BEGIN)
        self._end = client.register_script(_END)

    async def begin(self, attempt: Attempt) -> float:
        return await self._run(self._begin, attempt) / 1000

    async def end(self, attempt: Attempt, outcome: Outcome) -> None:
        await self._run(self._end, attempt, outcome.name)

    async def _run(self, script: AsyncScript, attempt: Attempt, *more: str) -> int:
        arguments: list[str | int] = [*self._bounds, attempt.id, *more]
        with told():
            async with asyncio.timeout(self._timeout_seconds):
                return int(await script(self._keys(attempt), arguments))

    def _keys(self, attempt: Attempt) -> list[str]:
        """What stands in braces places all four on one node of a cluster. Hashed, for their length:
        an address and a name are bounded by nothing here.
        """
        network = f"{self._prefix}:logins:{{{_hash(attempt.network)}}}"
        account = f"{network}:{_hash(attempt.account)}"
        return [f"{account}:failed", f"{account}:tried", f"{network}:failed", f"{network}:tried"]


def _hash(value: str) -> str:
    return hashlib.sha256(b"uploadgate login\0" + value.encode(errors="surrogatepass")).hexdigest()[
        :32
    ]
