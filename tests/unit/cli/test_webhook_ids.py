"""Ids as a shell may give them."""

import pytest

from tests.unit.cli.test_webhooks import Run, path, run

__all__ = ["path", "run"]  # fixtures


@pytest.mark.parametrize("given", ["\udcff", "ep_\udce9", "ep_é"])
@pytest.mark.parametrize(
    "command",
    [
        *(["show"], ["enable"], ["disable"], ["rotate"], ["remove"], ["deliveries"], ["test"]),
        ["replay", "--since", "1h"],
    ],
)
def test_an_id_that_is_no_ascii_is_a_bad_parameter(
    run: Run,
    command: list[str],
    given: str,
) -> None:
    answer = run(*command, given)
    assert answer.exit_code == 2
    assert isinstance(answer.exception, SystemExit)
    assert "no endpoint has such an id" in answer.output
