import re
from datetime import UTC, datetime
from urllib.parse import unquote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.grants.folders import MAX_IDENTITY, is_identity_id
from service.uploads.keys import (
    DEFAULT_TEMPLATE,
    MAX_KEY_BYTES,
    MAX_NAME,
    is_template,
    object_key,
    safe_name,
)

LONGEST_PREFIX = f"us-east-1:{'0' * (MAX_IDENTITY - 10)}/"
UPLOAD_ID = f"upl_{'0' * 32}"
SAFE = re.compile(r"[A-Za-z0-9._:/-]+")
# Any text at all, lone surrogates included: what stands before this function may change.
names = st.text(st.characters(exclude_categories=[]), max_size=2000)
AT = datetime(2030, 1, 2, tzinfo=UTC)


def key_of(name: str, template: str = DEFAULT_TEMPLATE) -> str:
    return object_key(template, LONGEST_PREFIX, UPLOAD_ID, name, AT)


@given(names)
@example("../../../etc/passwd")
@example("..\\..\\boot.ini")
@example("a/..")
@example("%2e%2e%2f+%00")
@example("\ud800\x00\n")
def test_a_key_of_any_name_is_safe(name: str) -> None:
    key = key_of(name)
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
    key = key_of(name)
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


pieces = st.one_of(
    st.sampled_from(["{upload_id}", "{filename}", "{extension}", "{year}", "{month}", "{day}"]),
    st.sampled_from(["/", ".", "..", "-", "{", "}", "{0}", "{upload_id!r}", "{upload_id.x}", "%"]),
    st.text(st.characters(exclude_categories=[]), max_size=5),
    st.from_regex(r"[a-z]{1,9}", fullmatch=True),
)
templates = st.lists(pieces, max_size=8).map("".join)


@given(templates, names)
@example("{upload_id}" + "{filename}" * 6 + "{extension}", "x" * 300 + "." + "y" * 30)
@example("{filename}{extension}/{upload_id}", "no-extension")
def test_a_key_of_any_template_that_is_taken_is_safe(template: str, name: str) -> None:
    if not is_template(template):
        return
    key = key_of(name, template)
    assert SAFE.fullmatch(key)
    assert len(key.encode()) <= MAX_KEY_BYTES
    assert key.startswith(LONGEST_PREFIX)
    assert UPLOAD_ID in key
    assert not {"", ".", ".."} & set(key.split("/"))
    assert unquote_plus(key) == key


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("{upload_id}/{filename}", f"{UPLOAD_ID}/photo.JPG"),
        ("{upload_id}", UPLOAD_ID),
        ("{upload_id}{extension}", f"{UPLOAD_ID}.JPG"),
        ("{year}/{month}/{day}/{upload_id}", f"2030/01/02/{UPLOAD_ID}"),
        ("avatars/{upload_id}{extension}", f"avatars/{UPLOAD_ID}.JPG"),
        ("a.b-c_D9/{filename}-{upload_id}", f"a.b-c_D9/photo.JPG-{UPLOAD_ID}"),
    ],
)
def test_a_template_says_what_a_key_is_made_of(template: str, key: str) -> None:
    assert is_template(template)
    assert key_of("photo.JPG", template) == LONGEST_PREFIX + key


def test_a_name_without_extension_has_none_in_its_key() -> None:
    assert key_of("photo", "{upload_id}{extension}") == LONGEST_PREFIX + UPLOAD_ID


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{filename}",
        "{year}/{filename}",
        "/{upload_id}",
        "{upload_id}/",
        "a//{upload_id}",
        "../{upload_id}",
        "a/../{upload_id}",
        "./{upload_id}",
        "{upload_id}/..",
        "{upload_id}/{user_id}",
        "{upload_id}{",
        "{upload_id}}",
        "{upload_id!r}",
        "{upload_id:>9}",
        "{upload_id}{0}",
        "{upload_id}{}",
        "{{upload_id}}",
        "{upload_id.__class__}",
        "{upload_id} ",
        "{upload_id}\n",
        "{upload_id}/a+b",
        "{upload_id}/100%",
        "{upload_id}/é",
        "{upload_id}/*",
        "{upload_id}\\a",
        "{upload_id}" + "x" * MAX_NAME,
        # Of a name without an extension comes an empty or dotted folder.
        "{upload_id}/{extension}",
        "{extension}/{upload_id}",
        "{upload_id}/.{extension}",
        "{upload_id}/{extension}.",
        # Longer than S3 takes, with the longest name.
        "{upload_id}" + "{filename}" * 8,
    ],
)
def test_a_template_of_which_no_safe_key_comes_is_refused(template: str) -> None:
    assert not is_template(template)
