"""Who owns which folder, as adoption asks."""

from errors import UploadgateError
from tests.fakes.records import IDENTITY


class OneOwner:
    """Implements service.completion.ports.Owners and service.uploads.ports.Folders: one folder,
    `ada`'s. `asked` counts what may ask Cognito. With `known` False her identity is not known
    yet; `trouble` is what asking Cognito raises.
    """

    def __init__(self, *, known: bool = True, trouble: UploadgateError | None = None) -> None:
        self.asked = 0
        self.known = known
        self.trouble = trouble

    async def owner_of(self, key: str) -> tuple[str, str] | None:
        folder, _, path = key.partition("/")
        return ("usr_ada", path) if folder == IDENTITY else None

    async def folder_of(self, user_id: str) -> str:
        self.asked += 1
        if not self.known:
            await self.check()
            self.known = True
        return f"{IDENTITY}/"

    async def known_folder_of(self, user_id: str) -> str:
        return f"{IDENTITY}/" if self.known else f"users/{user_id}/"

    async def check(self) -> None:
        if self.trouble is not None:
            raise self.trouble
