"""What Postgres is told of each connection, so that it lets go of clients that are gone.

A machine that vanishes says no goodbye: without this Postgres believes in it for hours, and keeps
the locks of its transaction as long. Leases are no help then: a claim passes locked rows over.
"""

from collections.abc import Mapping
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it ships none
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

# Half a minute: for a client that sends nothing, and for one that does not take its answer.
_VANISHED = {
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
# What a server does not know (of another version, or only akin to Postgres) is passed over.
_SET = (
    "SELECT set_config(wanted.name, wanted.value, false) FROM (VALUES {}) AS wanted (name, value)"
    " JOIN pg_settings ON pg_settings.name = wanted.name"
)


def watch(engine: AsyncEngine, *, connect_seconds: float, longest: float | None) -> None:
    """`longest` is how many seconds a transaction may take altogether; None: any number.

    By a statement, as poolers such as PgBouncer refuse connections that ask for it at their start.
    """
    settings = dict(_VANISHED)
    if longest is not None:
        bound = str(max(1, round(longest * 1000)))
        # One that is still there has given up by then, so nobody is cut off who goes on.
        settings |= {"idle_in_transaction_session_timeout": bound, "statement_timeout": bound}
    statement = _SET.format(_rows(settings))

    async def tell(driver: Any) -> None:
        try:
            await driver.execute(statement, timeout=connect_seconds)
        except BaseException as error:
            driver.terminate()
            if isinstance(error, _FAILURES):
                raise ConnectionError from error
            raise

    def on_connect(connection: Any, _record: Any) -> None:
        connection.run_async(tell)

    event.listen(engine.sync_engine, "connect", on_connect)


def _rows(settings: Mapping[str, str]) -> str:
    return ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
