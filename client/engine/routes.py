"""The ways by which pieces go straight to the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from client.engine.checksums import checksum
from client.engine.local_file import LocalFile
from client.engine.plan import Piece, Plan
from client.engine.threads import Threads
from client.problems import ClientError

# Codes of what the profile or the service's set-up rules out: another transport may do.
CLOSED = frozenset({"policy", "transport_unavailable"})


class RouteClosedError(Exception):
    """Nothing more goes by this route; `cause` says why."""

    def __init__(self, cause: ClientError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Target:
    """One signed PUT. `signed_with` is what to renounce should the store refuse it."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    signed_with: object = field(repr=False)


class Route(Protocol):
    name: str

    async def target(self, piece: Piece) -> Target:
        """Good for a request that begins now. Raises RouteClosedError, or a ClientError that no
        other route would help with.
        """
        ...

    def renounce(self, piece: Piece, target: Target) -> None:
        """The store refused it as out of date: the next one is signed anew."""
        ...


class PieceChecksums:
    """What each piece must carry, computed when it is about to go, and once."""

    def __init__(self, file: LocalFile, plan: Plan, threads: Threads) -> None:
        self._file = file
        self._plan = plan
        self._threads = threads
        self._known: dict[int, str] = {}
        if plan.whole and plan.checksum is not None:
            self._known[0] = plan.checksum.value

    @property
    def needed(self) -> bool:
        return self._plan.checksum_algorithm is not None

    @property
    def header(self) -> str:
        return f"x-amz-checksum-{(self._plan.checksum_algorithm or '').lower()}"

    async def of(self, piece: Piece) -> str:
        """In base64. Raises FileError, ChecksumUnavailableError."""
        if piece.number not in self._known:
            self._known[piece.number] = await checksum(
                self._file,
                piece.offset,
                piece.length,
                self._plan.checksum_algorithm or "",
                self._threads,
            )
        return self._known[piece.number]
