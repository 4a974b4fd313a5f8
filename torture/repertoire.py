"""What there is to go through, by name."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from torture.proxy import Fault
from torture.result import Result
from torture.scenarios.application import TROUBLES, Trouble, application
from torture.scenarios.garbage import garbage_at_the_doors, garbage_from_outside
from torture.scenarios.kills import POINTS, kills
from torture.scenarios.late_store import late_store
from torture.scenarios.order import order
from torture.scenarios.outage import database_away
from torture.scenarios.valkey_away import valkey_away
from torture.world import World

Scenario = Callable[[World], Awaitable[Result]]


@dataclass(frozen=True)
class Chapter:
    about: str
    scenarios: Sequence[Scenario]


def repertoire(rounds: int, away_seconds: float) -> dict[str, Chapter]:
    def away(seconds: float, fault: Fault) -> Scenario:
        return lambda world: database_away(world, seconds=seconds, fault=fault)

    return {
        "order": Chapter(
            "every event three times and shuffled must give the state of once and in order",
            [lambda world: order(world, rounds=max(1, rounds // 20))],
        ),
        "kills": Chapter(
            f"a replica is killed with SIGKILL at {len(POINTS)} points in turn: "
            f"{', '.join(point.name for point in POINTS)}",
            [lambda world: kills(world, rounds=rounds, points=POINTS)],
        ),
        "database": Chapter(
            "the database goes away: connections cut, then silent, then reset",
            [
                away(away_seconds, Fault.CUT),
                away(away_seconds / 4, Fault.DROP),
                away(away_seconds / 10, Fault.RESET),
            ],
        ),
        "application": Chapter(
            f"who receives the webhooks is in trouble: "
            f"{', '.join(trouble.name for trouble in TROUBLES)}",
            [_troubled(trouble) for trouble in TROUBLES],
        ),
        "valkey": Chapter("Valkey goes away while a page listens", [valkey_away]),
        "store": Chapter(
            "the store tells of objects that it does not show yet",
            [lambda world: late_store(world, uploads=20)],
        ),
        "garbage": Chapter(
            "garbage at every door, and for an answer from store and application",
            [garbage_at_the_doors, garbage_from_outside],
        ),
    }


def _troubled(trouble: Trouble) -> Scenario:
    return lambda world: application(world, trouble)
