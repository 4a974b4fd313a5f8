"""A whole transition as one statement of Postgres: record, usage and event, or none of them; and a
new record with its usage.

It spares BEGIN, COMMIT and what is in between. Each step takes its rows from the one before
it, which is also how they are locked: record, usage, sequence (state/usage.py says why).
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import CTE, ColumnElement, bindparam, select, update
from sqlalchemy.dialects import postgresql

from state import events, tables, usage
from state.tables import uploads


@lru_cache(maxsize=64)
def moving(compared: tuple[str, ...], changed: tuple[str, ...], *, counts: bool) -> Any:
    """Answers with the changed record. Without a row nothing is written: the record has changed,
    or its usage does not fit or is not there. Takes the parameters of `matching`, `changes` and,
    if it `counts`, usage.parameters, and events.parameters.
    """
    columns = (uploads.c.id, uploads.c.user_id, uploads.c.profile)
    seen = select(*columns).where(*matching(compared)).with_for_update().cte("seen")
    settled = _counted(seen) if counts else seen
    moved = (
        update(uploads)
        .where(uploads.c.id == settled.c.id)
        .values(changes(changed))
        .returning(*uploads.c)
        .cte("moved")
    )
    told = events.numbered_and_written(moved).cte("told")
    return select(*moved.c).add_cte(told)


def _counted(seen: CTE) -> CTE:
    own = tables.usage.c.user_id == seen.c.user_id, tables.usage.c.profile == seen.c.profile
    return usage.counted().where(*own).returning(seen.c.id).cte("counted")


@cache
def adding() -> Any:
    """Answers with the new record's id. Without a row its key is taken; refused by the CHECK of
    the table of usage, where it does not fit. Nothing is written in either case. Takes `new_` for
    each column, and usage.parameters.
    """
    names = [column.name for column in uploads.columns]
    added = (
        postgresql.insert(uploads)
        .values(changes(names))
        .on_conflict_do_nothing()
        .returning(uploads.c.id, uploads.c.user_id, uploads.c.profile)
        .cte("added")
    )
    return select(added.c.id).add_cte(usage.reserved(added).cte("reserved"))


def matching(compared: Sequence[str]) -> list[ColumnElement[bool]]:
    """`seen_id` and `seen_` for each of `compared`."""
    same = [uploads.c[name].is_not_distinct_from(_given("seen", name)) for name in compared]
    return [uploads.c.id == _given("seen", "id"), *same]


def changes(names: Sequence[str]) -> dict[str, Any]:
    """`new_` for each of them."""
    return {name: _given("new", name) for name in names}


def _given(prefix: str, name: str) -> Any:
    return bindparam(f"{prefix}_{name}", type_=uploads.c[name].type)
