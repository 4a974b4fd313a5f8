"""What `make torture` does at length, in small: two replicas, Postgres, the store, an application
that hears, and something that goes wrong.
"""

import pytest

from torture import result
from torture.proxy import Fault
from torture.result import Result
from torture.scenarios.application import TROUBLES, Trouble, application
from torture.scenarios.garbage import garbage_at_the_doors, garbage_from_outside
from torture.scenarios.kills import POINTS, kills
from torture.scenarios.late_store import late_store
from torture.scenarios.order import order
from torture.scenarios.outage import database_away
from torture.scenarios.valkey_away import valkey_away
from torture.valkey import SERVER
from torture.world import World


def _is_good(found: Result) -> None:
    """Nothing lost, doubled or adrift, nothing noted, and something really happened."""
    assert found.good, f"\n{result.table([found])}\n{result.told(found)}"


async def test_every_event_three_times_and_shuffled_gives_the_state_of_once_and_in_order(
    world: World,
) -> None:
    found = await order(world, rounds=1)
    _is_good(found)
    assert found.found.messages > found.found.acknowledged / 2


async def test_a_replica_that_is_killed_at_the_worst_moments_loses_and_doubles_nothing(
    world: World,
) -> None:
    found = await kills(world, rounds=len(POINTS), uploads=3)
    _is_good(found)
    assert found.remark == ", ".join(sorted(f"{point.name} 1" for point in POINTS))
    assert found.found.messages >= 4 * len(POINTS)


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.DROP])
async def test_a_database_that_is_away_costs_nothing_but_time(world: World, fault: Fault) -> None:
    found = await database_away(world, seconds=2, fault=fault, uploads=4)
    _is_good(found)
    assert "503" in found.remark


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
async def test_an_application_in_trouble_hears_everything_once_it_is_well(
    world: World, trouble: Trouble
) -> None:
    found = await application(world, trouble, uploads=4)
    _is_good(found)
    assert found.found.messages == 4


@pytest.mark.skipif(SERVER is None, reason="neither valkey-server nor redis-server is installed")
async def test_pages_hear_without_valkey(world: World) -> None:
    _is_good(await valkey_away(world, uploads=3))


async def test_a_store_that_shows_late_is_waited_for(world: World) -> None:
    found = await late_store(world, uploads=4)
    _is_good(found)
    assert found.found.messages == 4


async def test_garbage_at_the_doors_is_refused_and_not_kept(world: World) -> None:
    found = await garbage_at_the_doors(world, rounds=2)
    _is_good(found)
    assert "200" not in found.remark


async def test_garbage_for_an_answer_changes_nothing(world: World) -> None:
    _is_good(await garbage_from_outside(world, uploads=4))
