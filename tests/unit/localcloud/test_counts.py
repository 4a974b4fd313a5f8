"""Counting what the store writes down, however the bytes of its log arrive."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.store.counts import Answered, RequestCounts
from localcloud.store.entries import EntryStream


def entry(key: str, status: int = 200, **changed: Any) -> list[Any]:
    record = {"operation": "REST.PUT.OBJECT", "key": key, "status": status, "user_agent": "ua"}
    return ["s3.access", 1, record | changed, {}]


def answered(key: str, status: int = 200) -> Answered:
    return Answered(operation="REST.PUT.OBJECT", key=key, status=status, user_agent="ua")


@given(
    st.lists(st.tuples(st.text(), st.integers(100, 599)), max_size=8),
    st.lists(st.integers(0, 400), max_size=12),
    st.booleans(),
)
def test_entries_are_whole_wherever_the_chunks_end(
    requests: list[tuple[str, int]], cuts: list[int], ascii_only: bool
) -> None:
    log = "".join(json.dumps(entry(*request), ensure_ascii=ascii_only) for request in requests)
    data = log.encode("utf-8", "replace")
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    stream = EntryStream()
    found = [found for start, end in pairwise(places) for found in stream.feed(data[start:end])]
    decoded = [request.key.encode("utf-8", "replace").decode() for request in found]
    assert decoded == [key.encode("utf-8", "replace").decode() for key, _ in requests]
    assert [request.status for request in found] == [status for _, status in requests]


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (b"{}", "no entry"),
        (b"[]", "no entry"),
        (b"[1,2,3]", "no entry"),
        (b'["s3.access",1,{"status":"200","operation":"x"},{}]', "no entry"),
        (b"\xff", "decode"),
    ],
)
def test_what_is_no_audit_log_is_not_counted(log: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(EntryStream().feed(log))


def test_an_entry_without_an_end_is_given_up() -> None:
    stream = EntryStream()
    assert not list(stream.feed(b'["' + b"x" * 1_000_000))
    with pytest.raises(ValueError, match="without an end"):
        list(stream.feed(b"x" * 100_000))


def test_counts_are_by_operation_and_status_of_all_and_of_a_key() -> None:
    counts = RequestCounts()
    for found in (answered("a"), answered("a"), answered("a", 403), answered("b")):
        counts.add(found)
    put, refused = ("REST.PUT.OBJECT", 200), ("REST.PUT.OBJECT", 403)
    assert counts.of() == {put: 3, refused: 1}
    assert counts.of("a") == {put: 2, refused: 1}
    assert counts.of("never seen") == {}


def test_an_answer_is_a_copy_that_can_be_compared_later() -> None:
    counts = RequestCounts()
    counts.add(answered("a"))
    before = counts.of("a")
    counts.add(answered("a"))
    assert counts.of("a") - before == {("REST.PUT.OBJECT", 200): 1}


def test_the_key_that_was_used_last_is_forgotten_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcloud.store.counts._MAX_KEYS", 2)
    counts = RequestCounts()
    for key in ("a", "b", "a", "c"):
        counts.add(answered(key))
    assert [counts.of(key).total() for key in ("a", "b", "c")] == [2, 0, 1]
    assert counts.of().total() == 4
