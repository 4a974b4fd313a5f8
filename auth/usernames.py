"""What user names may hold, and how they are compared (Unicode's compatibility caseless match)."""

import unicodedata

import errors

MAX_LENGTH = 255


def key_of(username: str) -> str:
    """What a name is compared by. InvalidRequestError for what cannot be a name."""
    key = _folded(username)
    if not 1 <= len(username) <= MAX_LENGTH or not 1 <= len(key) <= MAX_LENGTH:
        raise errors.InvalidRequestError(f"A user name has 1 to {MAX_LENGTH} characters")
    if any(map(_is_unprintable, username + key)):
        raise errors.InvalidRequestError("A user name holds no control characters")
    if key != key.strip():
        raise errors.InvalidRequestError("A user name neither begins nor ends with a space")
    return key


def _folded(username: str) -> str:
    """Folded twice: the second round catches what the first one decomposed."""
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", username[:256]).casefold())
    return unicodedata.normalize("NFKC", once.casefold())


def _is_unprintable(character: str) -> bool:
    """Controls, invisible formats, lone surrogates, unassigned; line and paragraph ends."""
    category = unicodedata.category(character)
    return category.startswith("C") or category in {"Zl", "Zp"}
