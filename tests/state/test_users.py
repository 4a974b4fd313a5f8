from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import errors
from auth.users import User
from state.accounts import UserRepository
from state.database import Database

NOW = datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def user(name: str) -> User:
    return User(
        id=f"usr_{name.casefold()}",
        username=name,
        username_key=name.casefold(),
        password_hash="$argon2id$old",
        scopes=frozenset({"uploads", "admin"}),
        created_at=NOW,
    )


@pytest.fixture
def users(database: Database) -> UserRepository:
    return UserRepository(database)


async def test_a_user_comes_back_whole(users: UserRepository) -> None:
    await users.add(user("Ada"))
    assert await users.by_key("ada") == await users.by_id("usr_ada") == user("Ada")
    assert await users.by_key("Ada") is None
    assert await users.by_id("nobody") is None


async def test_any_name_can_be_kept(users: UserRepository) -> None:
    odd = replace(user("x"), username="\U0001f600 'Ada'; --", username_key="ключ%_")
    await users.add(odd)
    assert await users.by_key("ключ%_") == odd


async def test_a_taken_key_is_refused_and_nothing_changes(users: UserRepository) -> None:
    await users.add(user("ada"))
    with pytest.raises(errors.UserExistsError):
        await users.add(replace(user("ADA"), id="usr_other"))
    assert await users.all() == [user("ada")]


async def test_all_are_in_the_order_of_their_keys(users: UserRepository) -> None:
    for name in ("carol", "Ada", "bob"):
        await users.add(user(name))
    assert [found.username for found in await users.all()] == ["Ada", "bob", "carol"]


async def test_a_hash_changed_meanwhile_stays(users: UserRepository) -> None:
    await users.add(user("ada"))
    await users.replace_hash("usr_ada", old="$argon2id$old", new="$argon2id$new")
    await users.replace_hash("usr_ada", old="$argon2id$old", new="$argon2id$late")
    found = await users.by_key("ada")
    assert found is not None
    assert found.password_hash == "$argon2id$new"


async def test_disabling_twice_keeps_the_first_time(users: UserRepository) -> None:
    await users.add(user("ada"))
    await users.add(user("bob"))
    await users.disable("usr_ada", NOW)
    await users.disable("usr_ada", NOW + timedelta(days=1))
    assert [found.disabled_at for found in await users.all()] == [NOW, None]
