import asyncio
from collections.abc import Mapping

import pytest

from errors import CognitoRefusedError, StoreRefusedError, StoreUnavailableError, UnavailableError
from service.readiness import Check, Degraded, Readiness
from tests.fakes.eventually import eventually


class Dependency:
    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.looks = 0

    async def check(self) -> None:
        self.looks += 1
        if self.failure is not None:
            raise self.failure


def readiness(
    checks: Mapping[str, Check], *required: str, believe: float = 0, wait: float = 5
) -> Readiness:
    return Readiness(
        checks=checks, required=frozenset(required), believe_seconds=believe, check_seconds=wait
    )


async def test_a_replica_starts_is_ready_and_drains() -> None:
    made = readiness({})
    assert ((await made.report()).status, (await made.report()).ready) == ("starting", False)
    made.started()
    assert ((await made.report()).status, (await made.report()).ready) == ("ready", True)
    made.drain()
    assert ((await made.report()).status, (await made.report()).ready) == ("draining", False)
    made.started()
    assert (await made.report()).status == "draining"


async def test_nothing_is_asked_before_the_start() -> None:
    dependency = Dependency()
    await readiness({"database": dependency.check}).report()
    assert dependency.looks == 0


@pytest.mark.parametrize(
    ("name", "failure", "required", "status"),
    [
        ("database", UnavailableError(), True, "unavailable"),
        ("store", StoreUnavailableError(), False, "ready"),
        ("store", StoreUnavailableError(), True, "unavailable"),
        # A store that refuses the service's own rights serves nobody, required or not.
        ("store", StoreRefusedError(), False, "misconfigured"),
        ("cognito", CognitoRefusedError(), False, "ready"),
        ("cognito", CognitoRefusedError(), True, "misconfigured"),
    ],
)
async def test_what_is_down_is_named_and_makes_unready_where_it_is_required(
    name: str, failure: UnavailableError, required: bool, status: str
) -> None:
    checks = {"other": Dependency().check, name: Dependency(failure).check}
    made = readiness(checks, *[name] * required)
    made.started()
    report = await made.report()
    assert report.status == status
    assert report.ready is (status == "ready")
    assert report.degraded == (Degraded(name, failure.code, required),)


async def test_a_dependency_that_comes_back_is_believed_at_the_next_look() -> None:
    dependency = Dependency(UnavailableError())
    made = readiness({"database": dependency.check}, "database")
    made.started()
    assert not (await made.report()).ready
    dependency.failure = None
    assert (await made.report()).ready


async def test_many_who_ask_cause_one_look() -> None:
    dependency = Dependency()
    made = readiness({"database": dependency.check}, "database", believe=60)
    made.started()
    reports = await asyncio.gather(*(made.report() for _ in range(50)))
    assert all(report.ready for report in reports)
    assert dependency.looks == 1


@pytest.mark.parametrize("required", [True, False])
async def test_a_check_that_hangs_counts_as_down(required: bool) -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    made = readiness({"cognito": hangs}, *["cognito"] * required, wait=0.02)
    made.started()
    report = await made.report()
    assert report.ready is not required
    assert report.degraded == (Degraded("cognito", "timeout", required),)


async def test_a_check_that_breaks_is_an_answer_too() -> None:
    made = readiness({"cognito": Dependency(RuntimeError("ours")).check})
    made.started()
    report = await made.report()
    assert report.ready
    assert [found.dependency for found in report.degraded] == ["cognito"]


async def test_a_dependency_that_begins_to_hang_keeps_nobody_waiting() -> None:
    go = asyncio.Event()
    go.set()

    async def store() -> None:
        await go.wait()

    made = Readiness(
        checks={"store": store},
        required=frozenset({"store"}),
        believe_seconds=0,
        check_seconds=0.2,
        patience_seconds=0,
    )
    made.started()
    assert (await made.report()).ready
    go.clear()
    assert (await made.report()).ready  # what was found before

    async def unready() -> bool:
        return not (await made.report()).ready

    await eventually(unready)
    assert (await made.report()).degraded == (Degraded("store", "timeout", required=True),)
    await made.aclose()


async def test_a_look_ends_with_the_replica() -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    made = readiness({"store": hangs})
    made.started()
    asking = asyncio.create_task(made.report())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await made.aclose()
    await asking
    await readiness({}).aclose()
