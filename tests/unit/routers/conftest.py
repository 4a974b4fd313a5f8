from tests.fakes.companion_page import companion, companion_begun
from tests.fakes.fixtures import caller, house, untouched, written
from tests.fakes.uppy_page import signing, signing_begun

__all__ = [
    "caller",
    "companion",
    "companion_begun",
    "house",
    "signing",
    "signing_begun",
    "untouched",
    "written",
]
