import pytest

from errors import PolicyError, UnknownProfileError, UploadTooLargeError
from service.uploads.policy import LARGEST_OBJECT, IssueCredentials, Policy, Profile

UNLIMITED = Profile()
LIMITED = Profile("avatars", max_size=10)


@pytest.mark.parametrize(
    ("issue", "profiles", "given"),
    [
        ("when_unlimited", [UNLIMITED], True),
        ("when_unlimited", [LIMITED], False),
        # One limited profile is enough: credentials cannot hold it.
        ("when_unlimited", [UNLIMITED, LIMITED], False),
        ("when_unlimited", [Profile(max_size=0)], False),
        ("checked_after_arrival", [UNLIMITED], True),
        ("checked_after_arrival", [LIMITED], True),
        ("never", [UNLIMITED], False),
        ("never", [LIMITED], False),
    ],
)
def test_when_credentials_are_given(
    issue: IssueCredentials, profiles: list[Profile], given: bool
) -> None:
    policy = Policy(profiles, issue)
    if given:
        policy.check_credentials()
    else:
        with pytest.raises(PolicyError):
            policy.check_credentials()


def test_a_size_is_checked_against_its_own_profile() -> None:
    policy = Policy([UNLIMITED, LIMITED])
    policy.check_size(LIMITED, 10)
    policy.check_size(UNLIMITED, LARGEST_OBJECT)
    with pytest.raises(UploadTooLargeError, match="10 bytes"):
        policy.check_size(LIMITED, 11)
    with pytest.raises(UploadTooLargeError):
        policy.check_size(UNLIMITED, LARGEST_OBJECT + 1)


def test_a_limit_of_nothing_is_a_limit() -> None:
    policy = Policy([Profile(max_size=0)])
    policy.check_size(policy.profile(None), 0)
    with pytest.raises(UploadTooLargeError):
        policy.check_size(policy.profile(None), 1)


def test_profiles_are_found_by_name_and_the_first_is_the_default() -> None:
    policy = Policy([UNLIMITED, LIMITED])
    assert policy.profile(None) is UNLIMITED
    assert policy.profile("avatars") is LIMITED
    with pytest.raises(UnknownProfileError):
        policy.profile("nothing")
