"""What is written in S3's XML can be read, and what is read is what was meant."""

import contextlib
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidRequestError
from routers.s3_xml import document, element, named_parts, part_elements
from service.uploads.ports import StoredPart
from tests.fakes.uppy_page import list_of

# Names that a store gives: no control characters, which no XML holds.
NAMES = st.text(st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc", "Cn"]))


@given(NAMES)
def test_any_text_is_read_again(text: str) -> None:
    answer = bytes(document("A", element("B", text), namespace=None).body)
    assert (ET.fromstring(answer).findtext("B") or "") == text  # noqa: S314 - our own


@given(
    st.dictionaries(
        st.integers(1, 10_000), st.text("0123456789abcdef-", min_size=1), min_size=1, max_size=50
    )
)
def test_any_list_of_parts_is_read_as_it_was_written(named: dict[int, str]) -> None:
    for quote in ("", '"', "&quot;"):
        assert named_parts(list_of(named, quote)) == named


def test_names_may_have_a_namespace_and_fields_that_are_not_asked_for() -> None:
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<s3:CompleteMultipartUpload xmlns:s3="x">\n'
        b'  <s3:Part>\n <s3:ChecksumCRC32>DUoRhQ==</s3:ChecksumCRC32><s3:ETag> "a" </s3:ETag>'
        b"<s3:PartNumber> 7 </s3:PartNumber></s3:Part></s3:CompleteMultipartUpload>"
    )
    assert named_parts(body) == {7: "a"}


def test_a_part_without_its_etag_does_not_get_the_one_before_it() -> None:
    first = list_of({1: "a"}).removesuffix(b"</CompleteMultipartUpload>")
    second = b"<Part><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>"
    with pytest.raises(InvalidRequestError):
        named_parts(first + second)


def test_parts_are_written_as_s3_writes_them() -> None:
    assert part_elements([StoredPart(2, 5, "a-b")]) == (
        "<Part><PartNumber>2</PartNumber><ETag>&quot;a-b&quot;</ETag><Size>5</Size></Part>"
    )


@pytest.mark.parametrize("encoding", ["foo", "utf-7", "idna", "base64", "\u00e9", "", "x" * 1000])
def test_an_encoding_that_nobody_reads_is_a_fault_of_the_caller(encoding: str) -> None:
    head = f'<?xml version="1.0" encoding="{encoding}"?>'.encode()
    with pytest.raises(InvalidRequestError):
        named_parts(head + list_of({1: "a"}))


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_list_or_a_fault_of_the_caller(body: bytes) -> None:
    for content in (body, b'<?xml version="1.0" encoding="' + body + b'"?>' + list_of({1: "a"})):
        with contextlib.suppress(InvalidRequestError):
            named_parts(content)
