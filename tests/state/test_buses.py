"""The ways between replicas, on a real Postgres and a real Redis, and when they are away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from errors import UnavailableError
from service.delivery.hub import Hub
from service.delivery.news import News
from service.delivery.ports import Bus
from state import bus_postgres
from state.bus_messages import packed, unpacked
from state.bus_postgres import PostgresBus
from state.bus_redis import RedisBus
from state.buses import opened_bus
from state.database import Database
from tests.fakes.eventually import eventually
from tests.fakes.postgres import postgres_database
from tests.fakes.redis_server import RedisServer, running_redis
from tests.unit.delivery.listeners import Counting

SECONDS = 30.0  # nothing here is slow because it is away


class Way(Protocol):
    """Of one kind; each bus is another replica's."""

    async def bus(self, *, silence: float = 30) -> Bus: ...

    async def cut(self) -> None:
        """Ends every connection, and takes no new one."""
        ...

    async def mend(self) -> None: ...


class PostgresWay:
    def __init__(self, stack: AsyncExitStack, url: str) -> None:
        self._stack = stack
        self._url = url

    async def bus(self, *, silence: float = 30) -> PostgresBus:
        database = await self._stack.enter_async_context(
            Database.opened(self._url, timeout_seconds=SECONDS)
        )
        return PostgresBus(database, timeout_seconds=SECONDS, silence_seconds=silence)

    async def cut(self) -> None:
        await self._tell("ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await self._tell(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )

    async def mend(self) -> None:
        await self._tell("ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    async def _tell(self, statement: str) -> None:
        name = self._url.split("/")[3].split("?")[0]
        engine = create_async_engine(
            self._url.replace(f"/{name}", "/postgres"), isolation_level="AUTOCOMMIT"
        )
        async with engine.connect() as connection:
            await connection.execute(text(statement.format(name=name)))
        await engine.dispose()


class RedisWay:
    def __init__(self, stack: AsyncExitStack, server: RedisServer) -> None:
        self._stack = stack
        self._server = server

    async def bus(self, *, silence: float = 30) -> RedisBus:
        return await self._stack.enter_async_context(
            RedisBus.opened(
                self._server.url, prefix="test", timeout_seconds=SECONDS, silence_seconds=silence
            )
        )

    async def cut(self) -> None:
        self._server.stop()

    async def mend(self) -> None:
        self._server.start()


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture(params=["postgres", "redis"])
async def way(request: pytest.FixtureRequest) -> AsyncIterator[Way]:
    async with AsyncExitStack() as stack:
        if request.param == "redis":
            yield RedisWay(stack, request.getfixturevalue("redis_server"))
            return
        socket: Path = request.getfixturevalue("postgres_socket")
        url = await stack.enter_async_context(postgres_database(socket))
        yield PostgresWay(stack, url)


async def next_of(user_ids: AsyncIterator[str], many: int) -> list[str]:
    async with asyncio.timeout(60):
        return [await anext(user_ids) for _ in range(many)]


async def test_what_one_publishes_all_others_hear(way: Way) -> None:
    one, two, three = [await way.bus() for _ in range(3)]
    async with two.listening() as second, three.listening() as third:
        await one.publish({"usr_ada"})
        await one.publish({"us-east-1:0-f"})
        for user_ids in (second, third):
            assert await next_of(user_ids, 2) == ["usr_ada", "us-east-1:0-f"]


async def test_nobody_hears_oneself(way: Way) -> None:
    one, other = await way.bus(), await way.bus()
    async with one.listening() as user_ids:
        await one.publish({"usr_ada"})
        await other.publish({"usr_eve"})
        assert await next_of(user_ids, 1) == ["usr_eve"]


async def test_ten_thousand_users_go_over_at_once(way: Way) -> None:
    one, other = await way.bus(), await way.bus()
    users = {f"usr_{number:060}" for number in range(10_000)}
    async with other.listening() as user_ids:
        await one.publish(users)
        assert set(await next_of(user_ids, len(users))) == users


async def test_publishing_to_nobody_is_no_failure(way: Way) -> None:
    bus = await way.bus()
    await bus.publish({"usr_ada"})
    await bus.publish(set())


async def test_a_way_that_is_cut_is_said_and_can_be_gone_again(way: Way) -> None:
    one, other = await way.bus(), await way.bus()
    await one.publish({"usr_ada"})
    async with asyncio.timeout(120):
        with pytest.raises(UnavailableError):
            await _cut_while_listening(way, other)
        with pytest.raises(UnavailableError):
            await one.publish({"usr_ada"})
        with pytest.raises(UnavailableError):
            async with other.listening():
                pass
        await way.mend()
        async with other.listening() as user_ids:
            await one.publish({"usr_eve"})
            assert await next_of(user_ids, 1) == ["usr_eve"]


async def _cut_while_listening(way: Way, bus: Bus) -> None:
    async with bus.listening() as user_ids:
        await way.cut()
        await anext(user_ids)


async def test_a_connection_that_was_cut_is_never_made_anew_in_silence(way: Way) -> None:
    """What was published meanwhile is lost: whoever listens has to know."""
    bus = await way.bus()
    async with asyncio.timeout(120):
        with pytest.raises(UnavailableError):
            await _cut_for_a_moment_while_listening(way, bus)


async def _cut_for_a_moment_while_listening(way: Way, bus: Bus) -> None:
    async with bus.listening() as user_ids:
        await way.cut()
        await way.mend()
        await anext(user_ids)


async def test_a_silent_connection_is_asked_whether_it_lives_and_goes_on(way: Way) -> None:
    one, other = await way.bus(), await way.bus(silence=0.001)
    async with other.listening() as user_ids:
        heard = asyncio.create_task(next_of(user_ids, 1))
        await asyncio.sleep(0.05)
        assert not heard.done()
        await one.publish({"usr_ada"})
        assert await heard == ["usr_ada"]


async def test_one_that_stops_listening_leaves_no_connection_behind(way: Way) -> None:
    bus = await way.bus()
    for _ in range(30):
        async with bus.listening():
            pass
    async with bus.listening() as user_ids:
        other = await way.bus()
        await other.publish({"usr_ada"})
        assert await next_of(user_ids, 1) == ["usr_ada"]


async def test_who_stops_while_waiting_stops_at_once(way: Way) -> None:
    bus = await way.bus()

    async def listen() -> None:
        async with bus.listening() as user_ids:
            await anext(user_ids)

    task = asyncio.create_task(listen())
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(60):
        await asyncio.wait([task])
    assert task.cancelled()


# --- two replicas ---------------------------------------------------------------------------------


class Replica:
    def __init__(self, bus: Bus) -> None:
        self.hub = Hub(max_streams=10, max_per_user=10)
        self.news = News(hub=self.hub, bus=bus, retry_seconds=0.01)
        self.ada, self.eve = Counting(), Counting()

    @asynccontextmanager
    async def living(self) -> AsyncIterator["Replica"]:
        task = asyncio.create_task(self.news.run())
        try:
            with self.hub.holding("ada", self.ada), self.hub.holding("eve", self.eve):
                yield self
        finally:
            task.cancel()
            await asyncio.wait([task])

    def woken(self, ada: int, eve: int) -> bool:
        return (self.ada.woken, self.eve.woken) == (ada, eve)


async def test_two_replicas_tell_each_other_and_look_when_the_way_was_cut(way: Way) -> None:
    async with (
        Replica(await way.bus()).living() as one,
        Replica(await way.bus()).living() as two,
    ):
        await eventually(lambda: one.woken(1, 1) and two.woken(1, 1))
        one.news.announce("ada")
        await eventually(lambda: two.woken(2, 1))
        two.news.announce("eve")
        await eventually(lambda: one.woken(2, 2))
        assert (one.woken(2, 2), two.woken(2, 2)) == (True, True)

        await way.cut()
        one.news.announce("ada")  # nobody else hears of it yet
        await asyncio.sleep(0.05)
        await way.mend()
        await eventually(lambda: one.ada.woken >= 4 and two.ada.woken >= 3)  # both have looked
        assert one.eve.woken >= 3
        assert two.eve.woken >= 3
        await _hear_each_other(one, two)


async def _hear_each_other(one: Replica, two: Replica) -> None:
    for here, there in ((one, two), (two, one)):

        async def heard(here: Replica = here, there: Replica = there) -> bool:
            before = there.eve.woken
            here.news.announce("eve")
            await asyncio.sleep(0.02)
            return there.eve.woken > before

        await eventually(heard)


# --- Postgres alone -------------------------------------------------------------------------------


@pytest.fixture
async def postgres(postgres_socket: Path) -> AsyncIterator[Database]:
    async with (
        postgres_database(postgres_socket) as url,
        Database.opened(url, pool_size=1, overflow=0, timeout_seconds=SECONDS) as database,
    ):
        yield database


async def test_listening_takes_no_connection_of_the_pool(postgres: Database) -> None:
    bus = PostgresBus(postgres, timeout_seconds=SECONDS)
    async with bus.listening():
        await postgres.ping()
        await bus.publish({"usr_ada"})
        assert await _connections(postgres) == 2

    async def one() -> bool:
        return await _connections(postgres) == 1

    await eventually(one)


async def _connections(database: Database) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    async with database.transaction() as connection:
        return int((await connection.execute(text(query))).scalar_one())


async def test_news_beyond_all_bounds_end_the_connection(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_postgres, "_MOST_WAITING", 2)
    bus = PostgresBus(postgres, timeout_seconds=SECONDS)
    other = PostgresBus(postgres, timeout_seconds=SECONDS)
    found: list[str] = []

    async def flooded() -> None:
        async with bus.listening() as user_ids:
            await other.publish({f"{number}".zfill(7000) for number in range(9)})
            while True:
                found.append(await anext(user_ids))

    async with asyncio.timeout(60):
        with pytest.raises(UnavailableError):
            await flooded()
    assert len(found) == 2


async def test_a_connection_that_answers_nothing_any_more_is_lost(postgres: Database) -> None:
    bus = PostgresBus(postgres, timeout_seconds=0.05, silence_seconds=0.01)
    async with asyncio.timeout(60):
        with pytest.raises(UnavailableError):
            await _listen_to_silence(bus)


async def _listen_to_silence(bus: PostgresBus) -> None:
    """As over a network that drops every packet: nothing is answered, nothing is closed."""
    async with bus.listening() as user_ids:
        inflow = user_ids.ag_frame.f_locals["inflow"]  # type: ignore[attr-defined]
        inflow.driver._transport.pause_reading()
        await anext(user_ids)


# --- Redis alone ----------------------------------------------------------------------------------


async def _all_but_subscriptions(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answers as a Redis that has no time for a subscription yet."""
    while said := await reader.read(4096):
        if b"SUBSCRIBE" not in said:
            writer.write(b"+OK\r\n" * said.count(b"*"))
    writer.close()


async def test_nobody_listens_before_the_subscription_is_there() -> None:
    """What is published in between would be lost, and nobody would look."""
    server = await asyncio.start_server(_all_but_subscriptions, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"redis://127.0.0.1:{port}"
    async with server, RedisBus.opened(url, prefix="test", timeout_seconds=0.1) as bus:
        with pytest.raises(UnavailableError):
            async with bus.listening():
                pass


async def test_a_redis_that_answers_nothing_any_more_is_lost(redis_server: RedisServer) -> None:
    async with (
        asyncio.timeout(120),
        RedisBus.opened(
            redis_server.url, prefix="test", timeout_seconds=1, silence_seconds=0.01
        ) as bus,
    ):
        try:
            with pytest.raises(UnavailableError):
                await _freeze_while_listening(redis_server, bus)
            redis_server.freeze()  # whatever it was that ended the listening
            with pytest.raises(UnavailableError):
                await bus.publish({"usr_ada"})
        finally:
            redis_server.thaw()


async def _freeze_while_listening(server: RedisServer, bus: RedisBus) -> None:
    async with bus.listening() as user_ids:
        server.freeze()
        await anext(user_ids)


# --- messages and the choice ----------------------------------------------------------------------


@pytest.mark.parametrize("many", [0, 1, 2, 121, 10_000])
def test_messages_are_within_the_bound_and_hold_every_user_once(many: int) -> None:
    users = [f"us-east-1:{number:054}" for number in range(many)]
    messages = list(packed("one", users))
    assert all(len(message.encode()) < 8000 for message in messages)
    assert [user for message in messages for user in unpacked("other", message)] == users
    assert [unpacked("one", message) for message in messages] == [[]] * len(messages)


async def test_redis_is_taken_where_it_is_set_else_what_the_database_has(
    tmp_path: Path, postgres: Database
) -> None:
    async with Database.opened(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}") as sqlite:
        for database, url, kind in (
            (sqlite, None, type(None)),
            (postgres, None, PostgresBus),
            (sqlite, "redis://127.0.0.1:1", RedisBus),
            (postgres, "redis://127.0.0.1:1", RedisBus),
        ):
            async with opened_bus(
                database, redis_url=url, prefix="p", timeout_seconds=SECONDS
            ) as bus:
                assert type(bus) is kind


async def test_what_is_no_address_of_redis_is_refused_without_being_shown(
    postgres: Database,
) -> None:
    with pytest.raises(ValueError, match="scheme") as refused:
        async with opened_bus(
            postgres, redis_url="http://:s3cr3t@h", prefix="p", timeout_seconds=SECONDS
        ):
            pass
    assert "s3cr3t" not in str(refused.value)
