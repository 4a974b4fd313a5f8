"""Upload records, on every database."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from errors import UnavailableError
from service.uploads.model import Checksum, Origin, Transport, Upload
from service.uploads.model import UploadStatus as S
from service.uploads.plan import LARGEST_OBJECT
from service.uploads.ports import Cursor
from service.uploads.quota import Usage
from state.database import Database
from state.feed import SqlEventFeed
from state.uploads import SqlUploadRecords
from tests.fakes.clock import START
from tests.fakes.records import BUCKET, upload

CRC32, CRC64 = Checksum("CRC32", "DUoRhQ=="), Checksum("CRC64NVME", "AAAAAAAAAAA=")


@pytest.fixture
def records(database: Database) -> SqlUploadRecords:
    return SqlUploadRecords(database)


async def kept(records: SqlUploadRecords, **changes: Any) -> Upload:
    row = upload(**changes)
    assert await records.add(row)
    return row


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"declared_checksum": CRC32, "checksum": CRC64},
        {"declared_size": 0, "size": 0},
        {"declared_size": LARGEST_OBJECT, "size": 2**63 - 1},
        {"filename": "Ünïcode 漢字 🎉.txt", "metadata": {"album": "été 🎉", "n": "1"}},
        {"filename": "🎉" * 256, "fingerprint": "ü" * 255, "content_type": "a/" + "b" * 253},
        {"key": "us-east-1:0/" + "é" * 500, "etag": "e" * 255, "version_id": "v" * 1024},
        {"status": S.COMPLETED, "completed_at": START, "next_look_at": None, "looks": 3},
        {"created_at": START + timedelta(microseconds=1)},
        {"charged": LARGEST_OBJECT, "part_size": 5 * 2**30, "part_count": 10_000},
        {"multipart_id": "m" * 1024, "part_checksum": "CRC64NVME"},
        {"transport": Transport.RELAY, "origin": Origin.ADOPTED, "profile": "p" * 64},
    ],
)
async def test_a_record_comes_back_as_it_was(
    records: SqlUploadRecords, changes: dict[str, Any]
) -> None:
    row = await kept(records, **changes)
    assert await records.get(row.id) == row
    assert await records.by_key(row.bucket, row.key) == row


@pytest.mark.parametrize("upload_id", ["upl_2", "", "UPL_1", "upl_1' or '1'='1", "é", "upl_1\0"])
async def test_what_is_not_there_is_none(records: SqlUploadRecords, upload_id: str) -> None:
    await kept(records)
    assert await records.get(upload_id) is None


@pytest.mark.parametrize("key", ["\0", "k\0", "k\0more"])
async def test_no_record_has_a_key_that_no_database_could_keep(
    records: SqlUploadRecords, key: str
) -> None:
    await kept(records, key="k")
    assert await records.by_key(BUCKET, key) is None


async def test_one_key_has_one_record_a_generation(records: SqlUploadRecords) -> None:
    first = await kept(records, id="a", key="k")
    assert not await records.add(upload(id="b", key="k"))
    assert not await records.add(upload(id="a", key="other"))
    newest = await kept(records, id="c", key="k", generation=2)
    await kept(records, id="d", key="k", generation=1)
    await kept(records, id="e", key="k", bucket="another")
    assert await records.by_key(BUCKET, "k") == newest
    assert await records.get("a") == first
    assert await records.get("b") is None
    assert await records.by_key(BUCKET, "K") is None


async def test_of_many_that_add_one_key_at_once_one_wins(records: SqlUploadRecords) -> None:
    rows = [upload(id=str(number), key="k") for number in range(20)]
    assert sum(await asyncio.gather(*map(records.add, rows))) == 1


async def test_a_move_writes_what_it_pins(records: SqlUploadRecords) -> None:
    row = await kept(records)
    now = START + timedelta(seconds=1)
    pinned: dict[str, Any] = {
        "size": 2**40,
        "etag": "one",
        "version_id": "v",
        "checksum": CRC64,
        "next_look_at": None,
        "status_reason": "é",
    }
    moved = await records.transition(row, S.RECEIVED, now, **pinned)
    assert moved == replace(row, status=S.RECEIVED, updated_at=now, **pinned)
    assert await records.get(row.id) == moved
    assert moved is not None
    unpinned = await records.transition(moved, S.ABORTED, now, etag=None, checksum=None)
    assert unpinned is not None
    assert (unpinned.etag, unpinned.checksum) == (None, None)


async def test_a_move_that_is_never_allowed_is_a_fault(records: SqlUploadRecords) -> None:
    row = await kept(records, status=S.DELETED)
    with pytest.raises(ValueError, match="never followed"):
        await records.transition(row, S.COMPLETED, START)
    assert await records.get(row.id) == row


@pytest.mark.parametrize(
    "meanwhile",
    [{"status": S.COMPLETED}, {"status": S.REPLACED, "etag": "two"}, {"etag": None}],
)
async def test_a_move_from_what_was_seen_before_writes_nothing(
    records: SqlUploadRecords, meanwhile: dict[str, Any]
) -> None:
    seen = upload(status=S.QUARANTINED, etag="one")
    row = await kept(records, **{"status": S.QUARANTINED, "etag": "one", **meanwhile})
    assert await records.transition(seen, S.DELETED, START) is None
    assert await records.get(row.id) == row


async def test_of_many_moves_at_once_exactly_one_wins(records: SqlUploadRecords) -> None:
    seen = await kept(records)
    targets = [S.RECEIVED, S.ABORTED, S.EXPIRED] * 7
    moves = await asyncio.gather(
        *(records.transition(seen, status, START, status_reason=status) for status in targets)
    )
    (winner,) = [moved for moved in moves if moved is not None]
    assert await records.get(seen.id) == winner
    assert winner.status_reason == winner.status


async def test_a_replacement_may_be_replaced_but_by_one_only(records: SqlUploadRecords) -> None:
    seen = await kept(records, status=S.REPLACED, etag="one")
    moves = await asyncio.gather(
        *(records.transition(seen, S.REPLACED, START, etag=f"e{number}") for number in range(10))
    )
    assert sum(moved is not None for moved in moves) == 1


async def test_a_record_begins_in_silence_and_all_else_is_written_and_announced_once(
    database: Database,
) -> None:
    announced: list[str] = []
    records, feed = SqlUploadRecords(database, announced.append), SqlEventFeed(database)
    begun = upload()
    assert await records.add(begun)
    assert (announced, await feed.last("usr_ada")) == ([], 0)
    adopted = upload(id="upl_2", key="free", user_id="usr_eve", status=S.COMPLETED)
    assert [await records.add(adopted), await records.add(adopted)] == [True, False]
    assert (announced, await feed.last("usr_eve")) == (["usr_eve"], 1)
    assert await records.transition(begun, S.ABORTED, START)
    assert await records.transition(begun, S.EXPIRED, START) is None
    assert (announced, await feed.last("usr_ada")) == (["usr_eve", "usr_ada"], 1)


@pytest.mark.parametrize(
    "change", ["id", "user_id", "profile", "bucket", "key", "generation", "charged"]
)
async def test_no_change_makes_another_record_of_it(records: SqlUploadRecords, change: str) -> None:
    row = await kept(records)
    changes: dict[str, Any] = {change: 1}
    with pytest.raises(ValueError, match=f"not to be changed here: {change}$"):
        await records.transition(row, S.RECEIVED, START, **changes)
    with pytest.raises(ValueError, match=f"not to be changed here: {change}$"):
        await records.amend(row, START, **changes)
    assert await records.get(row.id) == row


@pytest.mark.parametrize("change", ["status", "etag", "size"])
async def test_what_a_transition_settles_is_not_amended(
    records: SqlUploadRecords, change: str
) -> None:
    row = await kept(records)
    with pytest.raises(ValueError, match=f"not to be changed here: {change}$"):
        await records.amend(row, START, **{change: None})
    assert await records.get(row.id) == row


async def test_an_amendment_writes_what_it_says_and_keeps_the_state(
    records: SqlUploadRecords,
) -> None:
    row = await kept(records, charged=5, looks=2)
    now = START + timedelta(seconds=1)
    changes: dict[str, Any] = {
        "transport": Transport.PRESIGNED,
        "transport_reason": "switched",
        "multipart_id": "one",
        "part_size": 2**33,
        "part_count": 3,
        "part_checksum": "CRC32",
        "declared_checksum": CRC32,
        "metadata": {"a": "b"},
        "next_look_at": now,
    }
    amended = await records.amend(row, now, **changes)
    assert amended == replace(row, updated_at=now, **changes)
    assert await records.get(row.id) == amended
    assert await records.usage(row.user_id, row.profile) == Usage(5, 1)


@pytest.mark.parametrize(
    "meanwhile", [{"status": S.ABORTED}, {"etag": "two"}, {"multipart_id": "two"}]
)
async def test_an_amendment_of_what_was_seen_before_writes_nothing(
    records: SqlUploadRecords, meanwhile: dict[str, Any]
) -> None:
    row = await kept(records, **{"etag": "one", "multipart_id": None, **meanwhile})
    seen = replace(row, status=S.PENDING, etag="one", multipart_id=None)
    assert await records.amend(seen, START, multipart_id="three") is None
    assert await records.get(row.id) == row


async def test_of_many_that_begin_a_multipart_at_once_one_is_kept(
    records: SqlUploadRecords,
) -> None:
    seen = await kept(records)
    amended = await asyncio.gather(
        *(records.amend(seen, START, multipart_id=str(number)) for number in range(20))
    )
    (winner,) = [row for row in amended if row is not None]
    assert await records.get(seen.id) == winner


async def test_an_upload_is_found_again_by_its_fingerprint(records: SqlUploadRecords) -> None:
    old = await kept(records, id="a", key="a", fingerprint="f")
    later = START + timedelta(seconds=1)
    new = await kept(records, id="b", key="b", fingerprint="f", created_at=later)
    await kept(records, id="c", key="c", fingerprint="F")
    await kept(records, id="d", key="d")
    await kept(records, id="e", key="e", fingerprint="f", user_id="usr_eve")
    done = await kept(records, id="g", key="g", fingerprint="f", status=S.COMPLETED)

    async def page(status: S | None, after: Cursor | None) -> Sequence[Upload]:
        return await records.page("usr_ada", status=status, after=after, limit=9, fingerprint="f")

    assert await page(None, None) == [new, done, old]
    assert await page(S.PENDING, None) == [new, old]
    assert await page(S.PENDING, Cursor(later, "b")) == [old]


async def test_pages_are_stable_where_times_are_equal(records: SqlUploadRecords) -> None:
    for number in range(12):
        created_at = START + timedelta(microseconds=number // 5)
        await kept(records, id=f"u{number:02}", key=str(number), created_at=created_at)
    await kept(records, id="theirs", key="theirs", user_id="usr_eve")
    seen: list[str] = []
    after = None
    while page := await records.page("usr_ada", status=None, after=after, limit=2):
        seen += [row.id for row in page]
        after = Cursor(page[-1].created_at, page[-1].id)
    assert seen == [f"u{number:02}" for number in reversed(range(12))]


async def test_a_page_of_one_status_and_of_nobody(records: SqlUploadRecords) -> None:
    await kept(records, id="a", key="a")
    done = await kept(records, id="b", key="b", status=S.COMPLETED)
    assert await records.page("usr_ada", status=S.COMPLETED, after=None, limit=9) == [done]
    assert await records.page("usr_eve", status=None, after=None, limit=9) == []


async def test_what_is_overdue_comes_the_longest_waiting_first(records: SqlUploadRecords) -> None:
    for seconds in (3, 1, 2, 11, 10):
        due = START + timedelta(seconds=seconds)
        await kept(records, id=str(seconds), key=str(seconds), next_look_at=due)
    await kept(records, id="never", key="never", next_look_at=None)
    now = START + timedelta(seconds=10)
    assert [row.id for row in await records.overdue(now, 3)] == ["1", "2", "3"]
    assert [row.id for row in await records.overdue(now, 9)] == ["1", "2", "3", "10"]


async def test_a_look_is_noted_unless_the_record_moved_or_was_looked_at(
    records: SqlUploadRecords,
) -> None:
    seen = await kept(records)
    later = START + timedelta(hours=1)
    await asyncio.gather(*(records.looked(seen, later) for _ in range(5)))
    looked = replace(seen, looks=1, next_look_at=later)
    assert await records.get(seen.id) == looked
    await records.looked(seen, None)  # of another replica, which was slower
    assert await records.get(seen.id) == looked
    moved = await records.transition(looked, S.ABORTED, START)
    await records.looked(looked, None)
    assert await records.get(seen.id) == moved


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://postgres@127.0.0.1:1/uploadgate",
        "sqlite+aiosqlite:////nowhere/uploadgate.db",
    ],
)
async def test_a_database_that_is_away_is_said(url: str) -> None:
    async with Database.opened(url, timeout_seconds=1) as away:
        records = SqlUploadRecords(away)
        for call in (
            records.get("a"),
            records.add(upload()),
            records.overdue(START, 1),
            away.ping(),
        ):
            with pytest.raises(UnavailableError):
                await call


# A file of SQLite is there or is made, and has no connections to cut.
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_database_that_is_not_made_yet_or_starting_is_away(database_url: str) -> None:
    url = database_url.replace("/test_", "/missing_")
    async with Database.opened(url) as away:
        with pytest.raises(UnavailableError):
            await away.ping()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_connection_that_is_cut_is_a_database_that_is_away(database: Database) -> None:
    with pytest.raises(UnavailableError):
        async with database.transaction() as connection:
            await connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    await database.ping()
