"""From a record to the pieces that are sent. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from client.problems import BadAnswerError
from client.signed import Multipart, StoredPart
from client.wire import Checksum


@dataclass(frozen=True, slots=True)
class Piece:
    """`length` bytes from `offset` on: part `number` of a multipart, or the whole file (0)."""

    number: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`checksum_algorithm`: what each piece must carry, None for nothing. `checksum` is the whole
    file's, which its only piece then carries.
    """

    pieces: tuple[Piece, ...]
    multipart_id: str | None = None
    checksum_algorithm: str | None = None
    checksum: Checksum | None = None

    @property
    def whole(self) -> bool:
        return self.multipart_id is None

    @property
    def size(self) -> int:
        return sum(piece.length for piece in self.pieces)

    def by_number(self, numbers: Iterable[int]) -> list[Piece]:
        """Those of them that are planned, in order."""
        wanted = set(numbers)
        return [piece for piece in self.pieces if piece.number in wanted]

    def missing(self, stored: Iterable[StoredPart]) -> list[Piece]:
        """A stored part of another size than planned is as good as none."""
        sizes = {part.number: part.size for part in stored}
        return [piece for piece in self.pieces if sizes.get(piece.number) != piece.length]


def plan_of(size: int, multipart: Multipart | None, checksum: Checksum | None) -> Plan:
    """Raises BadAnswerError for parts that do not make up the file."""
    if multipart is None:
        algorithm = checksum.algorithm if checksum else None
        return Plan((Piece(0, 0, size),), checksum_algorithm=algorithm, checksum=checksum)
    step = multipart.part_size
    if step <= 0 or multipart.part_count != -(-size // step):
        raise BadAnswerError("the service's plan of parts does not fit the file")
    pieces = (
        Piece(number, (number - 1) * step, min(step, size - (number - 1) * step))
        for number in range(1, multipart.part_count + 1)
    )
    return Plan(tuple(pieces), multipart.upload_id, multipart.checksum_algorithm)


def runs(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Neighbours together, in the file's order."""
    found: list[list[Piece]] = []
    for piece in pieces:
        if found and found[-1][-1].offset + found[-1][-1].length == piece.offset:
            found[-1].append(piece)
        else:
            found.append([piece])
    return found
