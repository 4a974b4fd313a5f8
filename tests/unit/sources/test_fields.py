import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.completion.sources.fields import compact_json

_PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(_PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(JSON)
def test_small_values_are_written_as_json_writes_them(value: Any) -> None:
    assert compact_json(value) == json.dumps(value, separators=(",", ":"))


@given(st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF)))
def test_so_are_texts_that_cannot_be_encoded(value: str) -> None:
    assert json.loads(compact_json([value])) == [value]
