from collections.abc import AsyncIterator

import pytest

from errors import BodyTooLargeError, RequestTimeoutError
from routers.middleware.body_limit import BodyLimit
from tests.fakes.asgi import HANG, Call, body, ok
from tests.fakes.house import opened_house
from tests.fakes.problems import assert_problem

limited = BodyLimit(ok, largest=10, seconds=0.02)


@pytest.mark.parametrize(
    "messages", [[body(b"x" * 10)], [body(b"x" * 5, more=True), body(b"x" * 5)], [body()]]
)
async def test_a_body_up_to_the_limit_passes(messages: list[dict[str, object]]) -> None:
    assert (await Call("/", messages).to(limited)).status == 200


@pytest.mark.parametrize(
    "messages",
    [[body(b"x" * 11)], [body(b"x" * 6, more=True), body(b"x" * 5, more=True), HANG]],
)
async def test_a_body_beyond_it_does_not(messages: list[dict[str, object]]) -> None:
    with pytest.raises(BodyTooLargeError, match="10 bytes"):
        await Call("/", messages).to(limited)


async def test_a_body_declared_too_large_is_not_even_read() -> None:
    with pytest.raises(BodyTooLargeError):
        await Call("/", [HANG], {"Content-Length": "11"}).to(limited)


@pytest.mark.parametrize("declared", ["10", "", "-1", "ten", "1e9"])
async def test_what_is_declared_otherwise_is_counted(declared: str) -> None:
    headers = {"Content-Length": declared}
    assert (await Call("/", [body(b"x" * 10)], headers).to(limited)).status == 200


@pytest.mark.parametrize("messages", [[HANG], [body(b"x", more=True), HANG]])
async def test_a_body_that_dawdles_is_given_up(messages: list[dict[str, object]]) -> None:
    with pytest.raises(RequestTimeoutError):
        await Call("/", messages).to(limited)


async def test_a_dawdling_body_is_answered_and_its_place_given_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async def dawdles() -> AsyncIterator[bytes]:
        yield b"{"
        async for _ in never():
            yield b""

    http = {"body_seconds": 0.05, "max_concurrent": 1, "max_waiting": 0}
    async with (
        opened_house(tmp_path_factory.mktemp("slow"), http=http) as house,
        house.client() as client,
    ):
        for path in ("/v1/uploads", "/v1/auth/login", "/v1/webhooks/seaweedfs"):
            answer = await client.post(
                path, content=dawdles(), headers={"content-type": "application/json"}
            )
            assert_problem(answer, RequestTimeoutError)


async def never() -> AsyncIterator[None]:
    call = Call("/", [HANG])
    await call.receive()
    yield
