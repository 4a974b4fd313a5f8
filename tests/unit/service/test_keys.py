import re
from urllib.parse import unquote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.grants.folders import MAX_IDENTITY, is_identity_id
from service.uploads.keys import MAX_KEY_BYTES, MAX_NAME, object_key, safe_name

LONGEST_PREFIX = f"us-east-1:{'0' * (MAX_IDENTITY - 10)}/"
UPLOAD_ID = f"upl_{'0' * 32}"
SAFE = re.compile(r"[A-Za-z0-9._:/-]+")
# Any text at all, lone surrogates included: what stands before this function may change.
names = st.text(st.characters(exclude_categories=[]), max_size=2000)


@given(names)
@example("../../../etc/passwd")
@example("..\\..\\boot.ini")
@example("a/..")
@example("%2e%2e%2f+%00")
@example("\ud800\x00\n")
def test_a_key_of_any_name_is_safe(name: str) -> None:
    key = object_key(LONGEST_PREFIX, UPLOAD_ID, name)
    assert SAFE.fullmatch(key)
    assert len(key.encode()) <= MAX_KEY_BYTES
    assert key.startswith(f"{LONGEST_PREFIX}{UPLOAD_ID}/")
    folder, upload_id, last = key.split("/")
    assert is_identity_id(folder)
    assert upload_id == UPLOAD_ID
    assert last
    assert not last.startswith(".")
    assert len(last) <= MAX_NAME


@given(names)
def test_decoding_a_key_once_more_changes_nothing(name: str) -> None:
    key = object_key(LONGEST_PREFIX, UPLOAD_ID, name)
    assert unquote_plus(key) == key
    assert unquote_plus(unquote_plus(key)) == key


stems = st.text(st.characters(exclude_characters="/\\"), max_size=300).filter(
    lambda stem: stem.strip(".- ")
)


@given(stems, st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True))
@example("報告", "pdf")
@example("🎉", "png")
def test_the_extension_is_kept(stem: str, extension: str) -> None:
    assert safe_name(f"{stem}.{extension}").endswith(f".{extension}")


plain_names = st.from_regex(
    r"[A-Za-z0-9_]{1,50}(-[A-Za-z0-9]{1,9}){0,3}([.][a-z0-9]{1,8})?", fullmatch=True
)


@given(plain_names)
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Ünï côde.PDF", "Uni-code.PDF"),
        ("holiday.mp4", "holiday.mp4"),
        ("C:\\Users\\ada\\photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("...", "file"),
        ("", "file"),
        ("/", "file"),
        (" ", "file"),
        ("漢字", "file"),
        ("報告.pdf", "file.pdf"),
        ("a+b c%20d.txt", "a-b-c-20d.txt"),
        ("ﬁle①.txt", "file1.txt"),
        ("x" * 300 + ".tar.gz", "x" * (MAX_NAME - 3) + ".gz"),
        ("x" * 300, "x" * MAX_NAME),
    ],
)
def test_a_safe_name_says_what_it_can(name: str, safe: str) -> None:
    assert safe_name(name) == safe
