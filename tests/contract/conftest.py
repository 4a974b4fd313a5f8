from tests.fakes.fixtures import caller, house, untouched, written

__all__ = ["caller", "house", "untouched", "written"]
