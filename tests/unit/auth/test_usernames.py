import pytest
from hypothesis import given
from hypothesis import strategies as st

import errors
from auth.usernames import key_of


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ada", "aDA"), ("ﬁnn", "FINN"), ("Straße", "STRASSE"), ("é", "e\u0301"), ("\uff21da", "ada")],
)
def test_names_that_read_alike_are_one_name(one: str, other: str) -> None:
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a\nb",
        "a\x00",
        "ada\u200b",
        "a\u202eb",
        "\ud800",
        " ada",
        "ada\u00a0",
        "a" * 256,
        "ﷺ" * 20,
    ],
)
def test_what_cannot_be_a_name(name: str) -> None:
    with pytest.raises(errors.InvalidRequestError):
        key_of(name)


@given(st.text(max_size=300))
def test_a_key_is_its_own_key_and_bounded(name: str) -> None:
    try:
        key = key_of(name)
    except errors.InvalidRequestError:
        return
    assert key_of(key) == key
    assert 1 <= len(key) <= 255
    key.encode()
