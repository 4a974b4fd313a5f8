import pytest

from errors import ContentTypeRefusedError, PolicyError, UnknownProfileError, UploadTooLargeError
from service.uploads.model import Transport
from service.uploads.policy import LARGEST_OBJECT, IssueCredentials, Policy, Profile
from service.uploads.quota import Limits

UNLIMITED = Profile()
LIMITED = Profile(name="avatars", max_size=10)
WITHOUT_CREDENTIALS = Profile(transports=frozenset({Transport.PRESIGNED, Transport.RELAY}))


@pytest.mark.parametrize(
    ("issue", "profiles", "given"),
    [
        ("when_unlimited", [UNLIMITED], True),
        ("when_unlimited", [LIMITED], False),
        # One limited profile is enough: credentials cannot hold it.
        ("when_unlimited", [UNLIMITED, LIMITED], False),
        ("when_unlimited", [Profile(max_size=0)], False),
        ("when_unlimited", [Profile(quota=0)], False),
        ("when_unlimited", [Profile(max_in_flight=1)], False),
        ("when_unlimited", [Profile(content_types=("image/*",))], False),
        ("when_unlimited", [Profile(extensions=("png",))], False),
        ("when_unlimited", [UNLIMITED, WITHOUT_CREDENTIALS], False),
        # Neither of these is got round by credentials.
        ("when_unlimited", [Profile(quarantine=True)], True),
        ("when_unlimited", [Profile(transports=frozenset({Transport.CREDENTIALS}))], True),
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


def test_a_record_of_a_profile_that_is_configured_no_more_is_of_the_first() -> None:
    policy = Policy([UNLIMITED, LIMITED])
    assert policy.of_record("avatars") is LIMITED
    assert policy.of_record("gone") is UNLIMITED


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        ("image/png", True),
        ("IMAGE/PNG", True),
        ("image/webp", True),
        ("application/pdf", True),
        ("application/pdf; charset=utf-8", True),
        ("application/pdfx", False),
        ("application/x", False),
        ("image", False),
        ("images/png", False),
        ("text/html", False),
        ("", False),
        # A parameter is no second type.
        ("text/html; image/png", False),
    ],
)
def test_types_are_taken_by_name_or_by_family(content_type: str, taken: bool) -> None:
    profile = Profile(content_types=("image/*", "application/pdf"))
    assert profile.takes_type(content_type) is taken
    assert Profile().takes_type(content_type)


@pytest.mark.parametrize(
    ("filename", "taken"),
    [
        ("a.png", True),
        ("a.PNG", True),
        (".png", True),
        ("a.jpg.png", True),
        ("a.png.exe", False),
        ("png", False),
        ("a.", False),
        ("a.png ", False),
        ("", False),
    ],
)
def test_names_are_taken_by_their_ending(filename: str, taken: bool) -> None:
    assert Profile(extensions=("png", "jpg")).takes_name(filename) is taken
    assert Profile().takes_name(filename)


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        (Profile(content_types=("image/*", "text/css")), "image/*, text/css"),
        (Profile(extensions=("png", "jpg")), ".png, .jpg"),
    ],
)
def test_who_is_refused_hears_what_is_taken(profile: Profile, says: str) -> None:
    with pytest.raises(ContentTypeRefusedError) as caught:
        Policy([profile]).check(profile, filename="a.exe", content_type="application/x-msdownload")
    assert says in str(caught.value)
    Policy([profile]).check(profile, filename="a.png", content_type="image/png")


def test_a_transport_that_the_profile_forbids_is_refused() -> None:
    policy = Policy([WITHOUT_CREDENTIALS], "checked_after_arrival")
    for transport in (Transport.PRESIGNED, Transport.RELAY):
        policy.check_transport(WITHOUT_CREDENTIALS, transport)
    with pytest.raises(PolicyError, match="credentials"):
        policy.check_transport(WITHOUT_CREDENTIALS, Transport.CREDENTIALS)


def test_credentials_that_nobody_gets_are_no_transport() -> None:
    policy = Policy([UNLIMITED], "never")
    policy.check_transport(UNLIMITED, Transport.PRESIGNED)
    with pytest.raises(PolicyError):
        policy.check_transport(UNLIMITED, Transport.CREDENTIALS)


@pytest.mark.parametrize(
    ("max_size", "quota", "reserved", "ceiling"),
    [
        (None, None, 0, LARGEST_OBJECT),
        (10, None, 10, 10),
        (None, 20, 20, 20),
        (10, 20, 10, 10),
        (20, 10, 10, 10),
        (0, 5, 0, 0),
    ],
)
def test_a_size_that_nobody_knows_reserves_all_that_it_may_have(
    max_size: int | None, quota: int | None, reserved: int, ceiling: int
) -> None:
    profile = Profile(max_size=max_size, quota=quota)
    assert profile.reservation(None) == reserved
    assert profile.reservation(3) == 3
    assert profile.ceiling == ceiling


def test_a_profiles_limits_are_its_quota_and_its_number() -> None:
    assert Profile(quota=7, max_in_flight=2).limits == Limits(7, 2)
    assert Profile().limits == Limits(None, None)
