from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgoing.retry_after import retry_after

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 0),
        ("Tue, 01 Jan 2030 12:01:00 GMT", 60),
        ("Tuesday, 01-Jan-30 12:01:00 GMT", 60),
        ("Tue Jan  1 12:01:00 2030", 60),
        ("Tue, 01 Jan 2030 13:01:00 +0100", 60),
        ("Tue, 01 Jan 2030 12:01:00 -0000", 60),
        ("Tue, 01 Jan 2030 11:00:00 GMT", 0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("٣", None),
        ("9" * 11, None),
        ("9" * 5000, None),
        ("Tue, 99 Jan 2030 12:01:00 GMT", None),
        ("Tue, 01 Jan 99999999 12:01:00 GMT", None),
    ],
)
def test_seconds_dates_and_nonsense(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.integers(0, 10**8))
def test_a_date_is_as_good_as_seconds(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(date, NOW) == retry_after(str(seconds), NOW) == seconds


@given(st.text() | st.text("0123456789 :,+-GMTJanFebTue", max_size=40))
def test_whatever_a_receiver_sends_is_survived(value: str) -> None:
    found = retry_after(value, NOW)
    assert found is None or found >= 0
