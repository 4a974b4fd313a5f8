"""Who owns which folder, as adoption asks."""

from tests.fakes.records import IDENTITY


class OneOwner:
    """Implements service.completion.ports.Owners and service.uploads.ports.Folders: one folder,
    `ada`'s.
    """

    def __init__(self) -> None:
        self.asked = 0

    async def owner_of(self, key: str) -> tuple[str, str] | None:
        folder, _, path = key.partition("/")
        return ("usr_ada", path) if folder == IDENTITY else None

    async def folder_of(self, user_id: str) -> str:
        self.asked += 1
        return f"{IDENTITY}/"
