"""The turns of a rate in Valkey or Redis, by the server's clock."""

import math

from redis.asyncio import Redis

from service.grants.pacing import LONGEST, Answer, Pace
from state.redis_clients import told

_MICROSECONDS = 1_000_000

# As Pace.asked, in whole microseconds. The key lives until nothing depends on it any more.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local spacing, within, idle, longest =
    tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local free_at = tonumber(redis.call('GET', KEYS[1]) or 0)
if free_at > now + longest + spacing then free_at = now end
local wait = math.max(0, free_at + idle - now)
if wait > within then return {0, wait} end
local next_free = math.max(free_at, now) + spacing
local life = math.ceil((next_free + spacing - now) / 1000)
redis.call('SET', KEYS[1], string.format('%.0f', next_free), 'PX', life)
return {1, wait}
"""


class RedisTurns:
    """Implements service.grants.pacing.Turns. `key` names the rate, with the prefix of ours.

    A server that forgets (restarted, failed over) forgets the turns that were taken ahead: for as
    long as these lasted, turns may lie on top of one another.
    """

    def __init__(self, client: Redis, pace: Pace, *, key: str) -> None:
        self._key = key
        self._spacing = math.ceil(pace.spacing * _MICROSECONDS)
        self._take = client.register_script(_TAKE)

    async def take(self, *, within: float, idle: float) -> Answer:
        numbers = [self._spacing, *(int(each * _MICROSECONDS) for each in (within, idle, LONGEST))]
        with told():
            taken, wait = await self._take(keys=[self._key], args=numbers)
        return Answer(taken=bool(taken), wait=wait / _MICROSECONDS)
