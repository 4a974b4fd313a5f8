from tests.fakes.companion_page import begun, companion
from tests.fakes.fixtures import caller, house, untouched, written

__all__ = ["begun", "caller", "companion", "house", "untouched", "written"]
