"""What is wrong with a request, in a few words however much is wrong."""

from routers.invalid_fields import _MOST_FIELDS, invalid_fields


def test_of_a_request_that_is_wrong_in_thousands_of_places_a_few_are_told() -> None:
    found = [{"loc": ("body", n), "type": "missing", "msg": "Field required"} for n in range(5000)]
    told = invalid_fields(found)
    assert [field.pointer for field in told] == [f"/body/{n}" for n in range(_MOST_FIELDS)]
    assert len(told) < 100
