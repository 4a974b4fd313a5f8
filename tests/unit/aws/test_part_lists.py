"""What is read from a list of parts, however it comes and whatever it is."""

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws.part_list_xml import PartListReader
from aws.part_lists import NewestParts
from service.uploads.model import Checksum
from service.uploads.ports import StoredPart

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'
MIB = 1024 * 1024
Sent = tuple[int, int, str]
"""Number, the second it arrived in, ETag."""


def entry(number: int, second: int = 0, etag: str = "e", more: str = "") -> str:
    at = f"2026-01-01T00:00:{second:02}.000Z"
    return (
        f"<Part><PartNumber>{number}</PartNumber><LastModified>{at}</LastModified>"
        f"<ETag>&#34;{etag}&#34;</ETag><Size>5</Size>{more}</Part>\n"
    )


def listed(*inside: str, root: str = "ListPartsResult") -> bytes:
    namespace = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    return HEAD + f"<{root} {namespace}>{''.join(inside)}</{root}>".encode()


def read(*pieces: bytes) -> tuple[Sequence[StoredPart], int | None]:
    found = NewestParts()
    reader = PartListReader(found.add)
    for piece in pieces:
        reader.feed(piece)
    return found.by_number(), reader.close()


def cut(body: bytes, size: int) -> Sequence[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


OWNER = "<Owner><ID>Part</ID><DisplayName>PartNumber</DisplayName></Owner>"


@given(st.lists(st.integers(0, 700), max_size=30))
def test_a_list_is_the_same_however_its_bytes_are_cut(cuts: list[int]) -> None:
    more = "<ChecksumCRC32>DUoRhQ==</ChecksumCRC32><ChecksumSHA256>x</ChecksumSHA256>"
    go_on = "<IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>"
    whole = listed("<Bucket>Part</Bucket>", OWNER, entry(2, etag="é"), entry(1, more=more), go_on)
    places = [0, *sorted(cuts), len(whole)]
    pieces = [whole[begin:end] for begin, end in pairwise(places)]
    assert read(*pieces) == (
        (StoredPart(1, 5, "e", Checksum("CRC32", "DUoRhQ==")), StoredPart(2, 5, "é")),
        2,
    )


@pytest.mark.parametrize("root", ["ListPartsResult", "ListPartsResponse"])
def test_an_empty_list_is_a_list(root: str) -> None:
    assert read(listed(root=root)) == ((), None)


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(0, 3), st.sampled_from("abc")),
        max_size=25,
    )
)
def test_of_a_part_sent_again_the_newest_counts_if_there_is_one(sent: list[Sent]) -> None:
    parts, _ = read(listed(*(entry(*one) for one in sent)))
    assert [(part.number, part.etag) for part in parts] == list(_newest(sent))


def _newest(sent: list[Sent]) -> Iterable[tuple[int, str]]:
    """By definition: those of the last second, if they are all the same."""
    for number, group in groupby(sorted(sent), key=itemgetter(0)):
        of_number = list(group)
        last = max(second for _, second, _ in of_number)
        etags = {etag for _, second, etag in of_number if second == last}
        if len(etags) == 1:
            yield number, etags.pop()


def test_a_time_without_a_zone_is_in_utc() -> None:
    plain = entry(1, 2, "new").replace(".000Z", "")
    parts, _ = read(listed(entry(1, 1, "old"), plain, entry(1, 0, "older")))
    assert [part.etag for part in parts] == ["new"]


BOMB = (
    '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 or str()};" * 10}">' for n in range(1, 10))
    + "]>"
)
FILE = '<!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
LONG = "x" * (2 * MIB)
NO_LIST = {
    "nothing": b"",
    "blank": b"   ",
    "no xml": b"welcome",
    "a page": b"<html><body>welcome</body></html>",
    "an error": HEAD + b"<Error><Code>InternalError</Code></Error>",
    "cut off": listed(entry(1))[:-9],
    "two lists": listed() + listed(),
    "packed": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "zeros": bytes(1000),
    "no utf-8": listed(entry(1, etag="@")).replace(b"@", b"\xff"),
    "a bomb": HEAD + BOMB.encode() + listed(entry(1, etag="&a9;"))[len(HEAD) :],
    "a file": HEAD + FILE.encode() + listed(entry(1, etag="&a;"))[len(HEAD) :],
    "only a document type": HEAD + b"<!DOCTYPE ListPartsResult>" + listed()[len(HEAD) :],
    "deep": listed("<a>" * 100_000),
    "a long value": listed(entry(1, etag=LONG)),
    "a long name": listed(f"<{LONG}></{LONG}>"),
    "a long attribute": listed(f'<Part a="{LONG}"/>'),
    "part 0": listed(entry(0)),
    "part -1": listed(entry(-1)),
    "part 10,001": listed(entry(10_001)),
    "half a number": listed(entry(1).replace(">1<", ">1.5<")),
    "a long number": listed(entry(1).replace(">1<", f">{'9' * 4000}<")),
    "a size below nothing": listed(entry(1).replace(">5<", ">-5<")),
    "no size": listed(entry(1).replace("Size", "Sighs")),
    "no ETag": listed(entry(1).replace("ETag", "Etag")),
    "no time": listed(entry(1).replace("2026-01-01", "yesterday")),
    "a part in a part": listed(f"<Part>{entry(1)}</Part>"),
    "more, but nowhere": listed("<IsTruncated>true</IsTruncated>"),
}


@pytest.mark.parametrize("size", [1000, 32 * 1024])
@pytest.mark.parametrize("body", NO_LIST.values(), ids=NO_LIST)
def test_what_is_no_list_is_refused(body: bytes, size: int) -> None:
    with pytest.raises((ValueError, KeyError)):
        read(*cut(body, size))


@pytest.mark.parametrize("long", [f"<Part a='{LONG}", f"<!--{LONG}", f"<{LONG}"])
def test_a_tag_without_an_end_is_not_read_again_and_again(long: str) -> None:
    with pytest.raises(ValueError, match="too long"):
        read(*cut(listed(long)[:20_000], 1000))
