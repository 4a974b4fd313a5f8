"""Both kinds of ticket: what they open, what they do not, and when they end."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidTicketError, PolicyError, UnknownProfileError
from service.uploads.model import Transport
from service.uploads.operation_tickets import LONGEST, Operation, OperationTickets
from service.uploads.policy import Policy, Profile
from service.uploads.ticketing import Ticketing
from tests.fakes.clock import START, Clock
from tests.fakes.records import upload
from tests.fakes.tickets import MemoryTickets

HOUR = timedelta(hours=1)
KEY, OLD_KEY = "k" * 32, "o" * 32
PROFILES = (Profile(), Profile(name="relayed", transports=frozenset({Transport.RELAY})))


def tickets(*keys: str, clock: Clock | None = None) -> OperationTickets:
    return OperationTickets(keys or (KEY,), life=HOUR, clock=clock or Clock())


@pytest.mark.parametrize("operation", Operation)
def test_a_ticket_says_again_what_it_was_issued_for(operation: Operation) -> None:
    read = tickets().read(tickets().issue(operation, upload(), "mp_1"))
    assert (read.operation, read.user_id, read.upload_id) == (operation, "usr_ada", "upl_1")
    assert (read.multipart_id, read.expires_at) == ("mp_1", START + HOUR)


def test_a_ticket_with_the_longest_ids_is_read_again() -> None:
    row = upload(id="u" * 64, user_id="s" * 64)
    text = tickets().issue(Operation.LIST, row, "m" * 1024)
    assert tickets().read(text).multipart_id == "m" * 1024
    assert len(text) <= LONGEST


def test_a_ticket_ends_with_its_life_and_with_its_upload() -> None:
    clock = Clock()
    of_one = tickets(clock=clock)
    soon = upload(expires_at=START + timedelta(minutes=1))
    long, short = (of_one.issue(Operation.LIST, row, "mp_1") for row in (upload(), soon))
    clock.advance(60)
    with pytest.raises(InvalidTicketError):
        of_one.read(short)
    of_one.read(long)
    clock.advance(3540)
    with pytest.raises(InvalidTicketError):
        of_one.read(long)


def test_a_replaced_key_still_opens_and_a_strange_one_does_not() -> None:
    old = tickets(OLD_KEY).issue(Operation.ABORT, upload(), "mp_1")
    assert tickets(KEY, OLD_KEY).read(old).operation is Operation.ABORT
    with pytest.raises(InvalidTicketError):
        tickets(KEY).read(old)


ISSUED = tickets().issue(Operation.ABORT, upload(), "mp_1")


@given(st.integers(0, len(ISSUED) - 1), st.characters())
def test_no_character_of_a_ticket_can_be_another(at: int, char: str) -> None:
    changed = ISSUED[:at] + char + ISSUED[at + 1 :]
    if changed == ISSUED:
        return
    with pytest.raises(InvalidTicketError):
        tickets().read(changed)


@given(st.text(max_size=300) | st.sampled_from(["", ".", "..", "é.é", "A" * 5000, ISSUED + "="]))
def test_whatever_else_is_no_ticket(text: str) -> None:
    with pytest.raises(InvalidTicketError):
        tickets().read(text)


class Desk:
    """A counter for companion tickets."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.clock = Clock()
        self.kept = MemoryTickets()
        self.ticketing = Ticketing(
            tickets=self.kept,
            policy=policy or Policy(PROFILES),
            life=HOUR,
            clock=self.clock,
        )


async def test_a_companion_ticket_is_its_users_and_of_its_profile() -> None:
    desk = Desk()
    issued = await desk.ticketing.issue("usr_ada", None)
    assert issued.expires_at == START + HOUR
    found = await desk.ticketing.redeem(issued.secret)
    assert (found.user_id, found.profile) == ("usr_ada", "default")


async def test_a_companion_ticket_is_kept_as_its_hash_and_shown_nowhere() -> None:
    desk = Desk()
    issued = await desk.ticketing.issue("usr_ada", None)
    assert issued.secret not in repr(desk.kept.rows)
    assert issued.secret not in repr(issued)


async def test_an_expired_companion_ticket_opens_nothing() -> None:
    desk = Desk()
    issued = await desk.ticketing.issue("usr_ada", None)
    desk.clock.advance(3600)
    with pytest.raises(InvalidTicketError):
        await desk.ticketing.redeem(issued.secret)


async def test_revoking_ends_all_of_a_users_tickets_and_nobody_elses() -> None:
    desk = Desk()
    mine = [await desk.ticketing.issue("usr_ada", None) for _ in range(2)]
    other = await desk.ticketing.issue("usr_eve", None)
    assert await desk.ticketing.revoke_all("usr_ada") == 2
    for issued in mine:
        with pytest.raises(InvalidTicketError):
            await desk.ticketing.redeem(issued.secret)
    assert (await desk.ticketing.redeem(other.secret)).user_id == "usr_eve"


@pytest.mark.parametrize("text", ["", "tickets", "upt_", "upt_" + "x" * 44, "upt_" + "é" * 43])
async def test_what_is_no_companion_ticket_is_not_even_looked_for(text: str) -> None:
    desk = Desk()
    with pytest.raises(InvalidTicketError):
        await desk.ticketing.redeem(text)
    assert desk.kept.looks == 0


async def test_no_ticket_for_a_profile_that_it_could_not_send_for() -> None:
    desk = Desk()
    with pytest.raises(PolicyError):
        await desk.ticketing.issue("usr_ada", "relayed")
    with pytest.raises(UnknownProfileError):
        await desk.ticketing.issue("usr_ada", "video")
    assert desk.kept.rows == {}


async def test_credentials_by_ticket_are_under_the_policy_of_all_credentials() -> None:
    free = Desk(Policy((Profile(),)))
    issued = await free.ticketing.issue("usr_ada", None)
    free.ticketing.check_credentials(await free.ticketing.redeem(issued.secret))
    limited = Desk(Policy((Profile(), Profile(name="avatar", max_size=5))))
    issued = await limited.ticketing.issue("usr_ada", None)
    found = await limited.ticketing.redeem(issued.secret)
    with pytest.raises(PolicyError):
        limited.ticketing.check_credentials(found)


@pytest.mark.parametrize(
    ("profile", "refused"),
    [
        (Profile(quota=9), True),
        (Profile(quota=9, max_size=3), False),
        (Profile(max_size=3), False),
    ],
)
async def test_no_ticket_whose_first_upload_would_take_the_whole_quota(
    profile: Profile, refused: bool
) -> None:
    desk = Desk(Policy([profile]))
    if not refused:
        await desk.ticketing.issue("usr_ada", None)
        return
    with pytest.raises(PolicyError, match="max_size"):
        await desk.ticketing.issue("usr_ada", None)
    assert desk.kept.rows == {}
