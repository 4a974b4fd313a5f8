"""No more bytes a second than allowed, over all that goes on at once."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from time import monotonic

_RATE = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)(?:i?[bB])?")
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
BLOCK = 256 * 1024
_SMALLEST_BLOCK = 4 * 1024


def bytes_per_second(text: str) -> float:
    """`500k`, `2M`, `1.5MiB`: in powers of 1,024, as curl has it. Raises ValueError."""
    found = _RATE.fullmatch(text.strip())
    rate = float(found[1]) * _UNITS[found[2].lower()] if found else 0.0
    if rate <= 0:
        raise ValueError(f"{text!r} is no rate; write 500k or 2M (bytes a second)")
    return rate


class Pace:
    """None: as fast as it goes."""

    def __init__(
        self,
        rate: float | None,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    @property
    def limited(self) -> bool:
        return self._rate is not None

    @property
    def block(self) -> int:
        """How many bytes are sent at once: about an eighth of a second's."""
        if self._rate is None:
            return BLOCK
        return max(_SMALLEST_BLOCK, min(BLOCK, int(self._rate / 8)))

    async def wait_for(self, size: int) -> None:
        """Until `size` more bytes may go. Whoever comes later waits longer."""
        if self._rate is None:
            return
        begins = max(self._clock(), self._free_at)
        self._free_at = begins + size / self._rate
        if (wait := begins - self._clock()) > 0:
            await self._sleep(wait)
