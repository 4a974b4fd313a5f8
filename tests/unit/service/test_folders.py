import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.grants.folders import (
    identity_folder,
    identity_of,
    is_identity_id,
    user_folder,
)
from tests.fakes.records import IDENTITY

FORGED = ["", "../x", "*", "us-east-1:*", "us-east-1:?", "a/b:c", "us-east-1:ABC", ":", "é:0"]


@pytest.mark.parametrize("text", [*FORGED, f"{IDENTITY}\n", f" {IDENTITY}", "a:" + "0" * 54])
def test_what_is_no_identity_becomes_no_folder(text: str) -> None:
    assert not is_identity_id(text)
    with pytest.raises(ValueError, match="identity"):
        identity_folder(text)


def test_folders_end_in_a_slash() -> None:
    assert identity_folder(IDENTITY) == f"{IDENTITY}/"


@given(st.text(min_size=1, max_size=50))
def test_a_key_leads_back_to_its_identity(path: str) -> None:
    assert identity_of(f"{IDENTITY}/{path}") == (IDENTITY, path)


@given(st.from_regex(r"[A-Za-z0-9:_-]{1,128}", fullmatch=True))
def test_a_users_own_folder_is_no_identitys(user_id: str) -> None:
    folder = user_folder(user_id)
    assert folder.split("/") == ["users", user_id, ""]
    assert identity_of(f"{folder}a.txt") is None


@given(st.text(alphabet="aA0:_-*?/.\\ \n\x00é", max_size=6))
def test_an_id_with_anything_else_in_it_becomes_no_folder(user_id: str) -> None:
    if user_id and set(user_id) <= set("aA0:_-"):
        return
    with pytest.raises(ValueError, match="user id"):
        user_folder(user_id)


@pytest.mark.parametrize(
    "key", ["a.txt", "users/usr_1/a", f"{IDENTITY}/", IDENTITY, f"/{IDENTITY}/a"]
)
def test_a_key_outside_of_all_folders_is_nobodys(key: str) -> None:
    assert identity_of(key) is None
