import pytest

from service.completion.verification import verify
from service.uploads.model import Checksum
from service.uploads.policy import LARGEST_OBJECT, Profile
from tests.fakes.records import upload
from tests.fakes.store import stored

WANTED = Checksum("CRC32", "AAAAAA==")


@pytest.mark.parametrize(
    ("size", "max_size", "accepted"),
    [(5, None, True), (5, 5, True), (4, None, False), (6, None, False), (5, 4, False)],
)
def test_the_size_must_be_what_was_announced_and_allowed(
    size: int, max_size: int | None, accepted: bool
) -> None:
    verdict = verify(upload(), stored(size=size), Profile(max_size=max_size))
    assert verdict.accepted is accepted
    assert (verdict.reason is None) is accepted


def test_what_nobody_announced_is_held_against_the_limit_alone() -> None:
    adopted = upload(declared_size=None)
    assert verify(adopted, stored(size=10), Profile(max_size=10)).accepted
    assert not verify(adopted, stored(size=11), Profile(max_size=10)).accepted
    assert verify(adopted, stored(size=LARGEST_OBJECT), Profile()).accepted


def test_an_empty_file_is_a_file() -> None:
    assert verify(upload(declared_size=0), stored(size=0), Profile(max_size=0)).accepted
    assert not verify(upload(declared_size=0), stored(size=1), Profile()).accepted


@pytest.mark.parametrize(
    ("found", "accepted", "reason"),
    [
        (WANTED, True, None),
        (Checksum("CRC32", "AAAAAQ=="), False, "CRC32"),
        (Checksum("CRC64NVME", "AAAAAAAAAAA="), True, "no such checksum"),
        (None, True, "no such checksum"),
    ],
)
def test_the_checksum_is_compared_where_the_store_has_one(
    found: Checksum | None, accepted: bool, reason: str | None
) -> None:
    verdict = verify(upload(declared_checksum=WANTED), stored(checksum=found), Profile())
    assert verdict.accepted is accepted
    assert verdict.reason is reason or (reason or "") in (verdict.reason or "")


def test_the_reason_names_both_sizes() -> None:
    reason = verify(upload(), stored(size=7), Profile()).reason
    assert reason == "5 bytes were announced, 7 arrived"
