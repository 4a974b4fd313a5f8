"""A stream in pieces of any length, cut into pieces of given lengths."""

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidRequestError
from service.uploads.slices import Slices


class Chunks:
    """`given` counts those that were asked for."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self.given = 0
        self._chunks = iter(chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            self.given += 1
            return chunk
        raise StopAsyncIteration


async def taken(
    slices: Slices, length: int, *, last: bool = False, into: list[bytes] | None = None
) -> bytes:
    """`into` keeps what came before it broke off."""
    found = [] if into is None else into
    async for chunk in slices.next(length, last=last):
        found.append(chunk)
    return b"".join(found)


streams = st.lists(st.binary(max_size=20), max_size=20)


@given(streams, st.lists(st.integers(0, 400)))
async def test_however_it_is_cut_the_bytes_are_the_same(
    chunks: list[bytes], cuts: list[int]
) -> None:
    whole = b"".join(chunks)
    ends = [*sorted(min(place, len(whole)) for place in cuts), len(whole)]
    slices, start = Slices(Chunks(chunks)), 0
    for number, end in enumerate(ends, 1):
        piece = await taken(slices, end - start, last=number == len(ends))
        assert piece == whole[start:end]
        start = end


@given(streams, st.integers(1, 50))
async def test_a_stream_that_ends_too_early_is_refused(chunks: list[bytes], more: int) -> None:
    slices = Slices(Chunks(chunks))
    with pytest.raises(InvalidRequestError, match="ended before"):
        await taken(slices, sum(map(len, chunks)) + more)


@given(streams.filter(any), st.data())
async def test_a_stream_that_goes_on_too_long_never_shows_its_last_bytes(
    chunks: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(chunks)
    length = data.draw(st.integers(0, len(whole) - 1))
    shown: list[bytes] = []
    with pytest.raises(InvalidRequestError, match="more bytes"):
        await taken(Slices(Chunks(chunks)), length, last=True, into=shown)
    # So that whoever sends them on can never have sent them all.
    assert whole.startswith(b"".join(shown))
    assert length == 0 or len(b"".join(shown)) < length


async def test_no_more_is_read_than_what_is_asked_for() -> None:
    chunks = Chunks([b"abc", b"def", b"ghi"])
    slices = Slices(chunks)
    assert await taken(slices, 4) == b"abcd"
    assert chunks.given == 2
    assert await taken(slices, 2) == b"ef"
    assert chunks.given == 2
    assert await taken(slices, 0) == b""
    assert chunks.given == 2


async def test_an_error_of_the_stream_is_raised_as_it_is() -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"a"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await taken(Slices(breaks()), 2)
