"""Names are shown to people: what could mislead them is no part of a name."""

import unicodedata

# Direction overrides and isolates, line and paragraph separators.
_MISLEADING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


def unshowable(char: str) -> bool:
    """Control characters, lone surrogates, and what turns the direction of a text."""
    return unicodedata.category(char) in {"Cc", "Cs"} or char in _MISLEADING
