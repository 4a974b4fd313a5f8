from typing import Any

import httpx
import pytest

from client.api import Api
from client.arrival import wait_until_settled
from client.problems import NotVerifiedError, RejectedError
from tests.unit.client.fakes import HttpFor, Tokens


class Scene:
    """An upload that goes through these statuses, the last for good, and a clock."""

    def __init__(self, record: dict[str, Any], *statuses: str) -> None:
        self._record = record
        self._statuses = list(statuses)
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self, _: object) -> Any:
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return httpx.Response(200, json={**self._record, "status": status, "status_reason": "why"})

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def wait(http_for: HttpFor, tokens: Tokens, record: dict[str, Any]) -> Any:
    def run(*statuses: str, **more: Any) -> Any:
        scene = Scene(record, *statuses)
        api = Api(http_for(scene), tokens)
        options: dict[str, Any] = {
            "pause": scene.pause,
            "clock": lambda: scene.now,
            "jitter": lambda: 1.0,
        }
        return scene, lambda: wait_until_settled(api, "upl_1", **options, **more)

    return run


def test_it_asks_ever_less_often_until_the_end(wait: Any) -> None:
    scene, run = wait("pending", "uploading", "received", "received", "completed")
    assert run().status == "completed"
    assert scene.pauses == sorted(scene.pauses)
    assert len(scene.pauses) == 4


def test_a_verdict_is_not_waited_for(wait: Any) -> None:
    scene, run = wait("received", "quarantined")
    assert run().status == "quarantined"
    assert len(scene.pauses) == 1


@pytest.mark.parametrize("status", ["rejected", "aborted", "expired", "deleted", "replaced"])
def test_another_end_is_told_with_its_reason(wait: Any, status: str) -> None:
    _, run = wait("received", status)
    with pytest.raises(RejectedError, match=f"is {status}: why") as caught:
        run()
    assert caught.value.status == status


def test_it_does_not_wait_forever(wait: Any) -> None:
    scene, run = wait("received", deadline_seconds=10)
    with pytest.raises(NotVerifiedError, match="still received"):
        run()
    assert scene.now == pytest.approx(10)


def test_it_stops_when_told_to(http_for: HttpFor, tokens: Tokens, record: dict[str, Any]) -> None:
    api = Api(http_for(Scene(record, "received")), tokens)
    with pytest.raises(NotVerifiedError):
        wait_until_settled(api, "upl_1", pause=lambda _: True)
