from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidRequestError
from routers import cursor
from service.uploads.ports import Cursor

ids = st.from_regex(r"upl_[0-9a-f]{32}", fullmatch=True)


@given(st.datetimes(timezones=st.just(UTC)), ids)
def test_a_cursor_comes_back_as_it_was(created_at: datetime, upload_id: str) -> None:
    given_out = Cursor(created_at, upload_id)
    text = cursor.encode(given_out)
    assert cursor.decode(text) == given_out
    assert text.replace("-", "").replace("_", "").isalnum()
    assert len(text) <= 256


@given(st.text(max_size=300))
def test_nothing_else_is_believed(text: str) -> None:
    try:
        found = cursor.decode(text)
    except InvalidRequestError:
        return
    assert found.created_at.astimezone(UTC) == found.created_at
    assert found.id.isprintable()


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_utc_cannot_hold_is_refused(moment: str) -> None:
    outside = cursor.encode(Cursor(datetime.fromisoformat(moment), "upl_1"))
    with pytest.raises(InvalidRequestError):
        cursor.decode(outside)
