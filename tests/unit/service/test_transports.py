"""Which way the bytes go, and why."""

import pytest

from errors import (
    CognitoNotConfiguredError,
    CognitoRefusedError,
    CognitoThrottledError,
    CognitoUnavailableError,
    IdentityConflictError,
    PolicyError,
    TransportUnavailableError,
    UnavailableError,
    UploadgateError,
)
from service.uploads.model import Transport
from service.uploads.policy import IssueCredentials, Policy, Profile
from service.uploads.transports import Chosen, Transports
from tests.fakes.owners import OneOwner
from tests.fakes.records import IDENTITY, upload
from tests.fakes.uploads import ADA

OWN, IDENTITYS = f"users/{ADA}/", f"{IDENTITY}/"
FREE = Profile()
NO_CREDENTIALS = Profile(transports=frozenset({Transport.PRESIGNED, Transport.RELAY}))
RELAY_ONLY = Profile(transports=frozenset({Transport.RELAY}))
CREDENTIALS_ONLY = Profile(transports=frozenset({Transport.CREDENTIALS}))


def transports(
    profile: Profile = FREE,
    folders: OneOwner | None = None,
    issue: IssueCredentials = "checked_after_arrival",
) -> Transports:
    return Transports(folders=folders or OneOwner(), policy=Policy([profile], issue))


async def test_auto_is_credentials_where_they_can_be_had() -> None:
    for folders in (OneOwner(), OneOwner(known=False)):
        chosen = await transports(folders=folders).choose(ADA, "auto", FREE)
        assert chosen == Chosen(Transport.CREDENTIALS, "auto", IDENTITYS)


OBSTACLES = pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (CognitoNotConfiguredError(), "cognito_not_configured"),
        (CognitoThrottledError(), "cognito_throttled"),
        (CognitoUnavailableError(), "cognito_unavailable"),
        (CognitoRefusedError(), "cognito_unavailable"),
        (IdentityConflictError(), "cognito_unavailable"),
    ],
)


@OBSTACLES
async def test_auto_says_why_it_is_presigned(trouble: UploadgateError, reason: str) -> None:
    folders = OneOwner(known=False, trouble=trouble)
    chosen = await transports(folders=folders).choose(ADA, "auto", FREE)
    assert chosen == Chosen(Transport.PRESIGNED, reason, OWN)


@OBSTACLES
async def test_who_cannot_get_credentials_now_is_not_promised_them_by_a_known_folder(
    trouble: UploadgateError, reason: str
) -> None:
    chosen = await transports(folders=OneOwner(trouble=trouble)).choose(ADA, "auto", FREE)
    # In the folder of the identity all the same: so that it can be switched later.
    assert chosen == Chosen(Transport.PRESIGNED, reason, IDENTITYS)


@pytest.mark.parametrize(
    ("profile", "issue", "transport"),
    [
        (Profile(max_size=10), "when_unlimited", Transport.PRESIGNED),
        (FREE, "never", Transport.PRESIGNED),
        (NO_CREDENTIALS, "checked_after_arrival", Transport.PRESIGNED),
        (RELAY_ONLY, "checked_after_arrival", Transport.RELAY),
    ],
)
async def test_auto_asks_nobody_where_the_policy_forbids_credentials(
    profile: Profile, issue: IssueCredentials, transport: Transport
) -> None:
    folders = OneOwner(known=False)
    chosen = await transports(profile, folders, issue).choose(ADA, "auto", profile)
    assert chosen == Chosen(transport, "policy", OWN)
    assert folders.asked == 0


async def test_auto_has_nothing_else_where_the_profile_allows_credentials_alone() -> None:
    folders = OneOwner(known=False, trouble=CognitoThrottledError())
    service = transports(CREDENTIALS_ONLY, folders)
    with pytest.raises(CognitoThrottledError):
        await service.choose(ADA, "auto", CREDENTIALS_ONLY)


async def test_a_database_that_is_away_is_no_reason_for_another_transport() -> None:
    folders = OneOwner(known=False, trouble=UnavailableError())
    with pytest.raises(UnavailableError):
        await transports(folders=folders).choose(ADA, "auto", FREE)


async def test_who_insists_on_credentials_hears_why_there_are_none() -> None:
    folders = OneOwner(known=False, trouble=CognitoUnavailableError())
    with pytest.raises(CognitoUnavailableError):
        await transports(folders=folders).choose(ADA, "credentials", FREE)
    with pytest.raises(PolicyError):
        await transports(issue="never").choose(ADA, "credentials", FREE)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("asked", ["presigned", "relay"])
async def test_what_needs_no_credentials_asks_no_cognito(asked: str, known: bool) -> None:
    folders = OneOwner(known=known, trouble=CognitoUnavailableError())
    chosen = await transports(folders=folders).choose(ADA, asked, FREE)  # type: ignore[arg-type]
    assert chosen == Chosen(Transport(asked), "requested", IDENTITYS if known else OWN)
    assert folders.asked == 0


@pytest.mark.parametrize(
    ("profile", "asked"),
    [
        (NO_CREDENTIALS, "credentials"),
        (RELAY_ONLY, "presigned"),
        (CREDENTIALS_ONLY, "relay"),
    ],
)
async def test_a_transport_that_the_profile_forbids_is_refused(
    profile: Profile, asked: str
) -> None:
    folders = OneOwner()
    service = transports(profile, folders)
    with pytest.raises(PolicyError):
        await service.choose(ADA, asked, profile)  # type: ignore[arg-type]
    with pytest.raises(PolicyError):
        await service.check_switch(upload(), Transport(asked))
    assert folders.asked == 0


async def test_a_switch_to_credentials_needs_a_key_that_they_can_write_to() -> None:
    service = transports()
    await service.check_switch(upload(), Transport.CREDENTIALS)
    elsewhere = upload(key=f"{OWN}upl_1/a.txt")
    with pytest.raises(TransportUnavailableError):
        await service.check_switch(elsewhere, Transport.CREDENTIALS)
    for transport in (Transport.PRESIGNED, Transport.RELAY):
        await service.check_switch(elsewhere, transport)
