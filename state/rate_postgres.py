"""The turns of a rate in Postgres, by the server's clock: for replicas without Redis."""

from datetime import UTC, datetime
from functools import cache

from sqlalchemy import Float, Text, bindparam, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import TextClause

from service.grants.pacing import LONGEST, Answer, Pace
from state.database import Database
from state.tables import rates

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# As Pace.asked. Who is refused takes no lock, and writes nothing: what a statement sees may be out
# of date, but turns are only ever taken. Who waits for another's lock sees what that one left. A
# turn lost in a crash of the server harms nobody, so nobody waits for the disk.
_TAKE = """
WITH taken AS (
    UPDATE rates
    SET next_turn = make_interval(secs => :spacing) + CASE
        WHEN next_turn > clock_timestamp() + make_interval(secs => :farthest)
        THEN clock_timestamp() ELSE greatest(next_turn, clock_timestamp()) END
    WHERE name = :name AND (
        next_turn + make_interval(secs => :idle)
            <= clock_timestamp() + make_interval(secs => :within)
        OR next_turn > clock_timestamp() + make_interval(secs => :farthest))
    RETURNING next_turn - make_interval(secs => :spacing) AS turn
)
SELECT true AS taken, CAST(extract(epoch FROM turn - clock_timestamp()) AS double precision)
    AS wait, set_config('synchronous_commit', 'off', true) AS hurried
FROM taken
UNION ALL
SELECT false,
    CAST(extract(epoch FROM next_turn - clock_timestamp()) AS double precision) + :idle, NULL
FROM rates WHERE name = :name AND NOT EXISTS (SELECT FROM taken)
"""


@cache
def _take() -> TextClause:
    numbers = ("spacing", "farthest", "within", "idle")
    types = [bindparam(name, type_=Float(53)) for name in numbers]
    return text(_TAKE).bindparams(bindparam("name", type_=Text()), *types)


class PostgresTurns:
    """Implements service.grants.pacing.Turns: one short statement a turn, on the rate's own row.
    `key` names the rate, in 64 characters at the most.
    """

    def __init__(self, database: Database, pace: Pace, *, key: str) -> None:
        self._database = database
        self._values = {
            "name": key,
            "spacing": pace.spacing,
            "farthest": LONGEST + pace.spacing,
        }

    async def take(self, *, within: float, idle: float) -> Answer:
        values = {**self._values, "within": within, "idle": idle}
        found = await self._database.rows(_take(), values)
        if not found:
            await self._begin()
            found = await self._database.rows(_take(), values)
        row = found[0]
        return Answer(taken=row["taken"], wait=max(0.0, row["wait"]))

    async def _begin(self) -> None:
        """With the first turn free, long since."""
        row = {"name": self._values["name"], "next_turn": _EPOCH}
        statement = postgresql.insert(rates).values(row).on_conflict_do_nothing()
        async with self._database.single() as connection:
            await connection.execute(statement)
