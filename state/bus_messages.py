"""How user ids travel between replicas: `ORIGIN ID,ID,…`. A replica's own words come back to it;
by their origin it knows them, and spares its streams a second look.
"""

import uuid
from collections.abc import Collection, Iterator, Sequence

# Postgres takes less than 8,000 bytes in one notification.
_LONGEST = 7_900


def new_origin() -> str:
    return uuid.uuid4().hex[:16]


def packed(origin: str, user_ids: Collection[str]) -> Iterator[str]:
    """As many to a message as go in."""
    waiting: list[str] = []
    size = len(origin) + 1
    for user_id in user_ids:
        length = len(user_id.encode()) + 1
        if waiting and size + length > _LONGEST:
            yield f"{origin} {','.join(waiting)}"
            waiting, size = [], len(origin) + 1
        waiting.append(user_id)
        size += length
    if waiting:
        yield f"{origin} {','.join(waiting)}"


def unpacked(origin: str, message: str) -> Sequence[str]:
    """Nothing of one's own."""
    sender, _, user_ids = message.partition(" ")
    return [] if sender == origin else user_ids.split(",")
