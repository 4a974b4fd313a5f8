"""From a size to equal parts. Pure. Limits: S3's, "Amazon S3 multipart upload limits"."""

from dataclasses import dataclass

MIB = 1024 * 1024
SMALLEST_PART = 5 * MIB
LARGEST_PART = 5 * 1024 * MIB
MOST_PARTS = 10_000
LARGEST_OBJECT = MOST_PARTS * LARGEST_PART  # 48.8 TiB
LARGEST_PUT = 5 * 1024 * MIB


@dataclass(frozen=True, slots=True)
class Plan:
    """`part_count` parts of `part_size` bytes, the last one as long as what remains (1 byte at
    least). Some stores insist on equal parts.
    """

    size: int
    part_size: int
    part_count: int

    def length(self, number: int) -> int:
        """Bytes of part `number`, from 1 to `part_count`. Raises ValueError for others."""
        if not 1 <= number <= self.part_count:
            raise ValueError("no such part")
        if number < self.part_count:
            return self.part_size
        return self.size - (self.part_count - 1) * self.part_size

    def offset(self, number: int) -> int:
        return (number - 1) * self.part_size


def plan(size: int, *, part_size: int, threshold: int) -> Plan | None:
    """None for a size that goes in one PUT: at most `threshold` bytes. `part_size` is what is
    wished for; it grows in whole MiB where 10,000 parts of it would not do. Raises ValueError
    for a size that no object can have.
    """
    if not 0 <= size <= LARGEST_OBJECT:
        raise ValueError("S3 stores objects of up to 48.8 TiB")
    if size <= min(threshold, LARGEST_PUT):
        return None
    chosen = min(max(part_size, SMALLEST_PART), LARGEST_PART)
    if size > chosen * MOST_PARTS:
        chosen = -(-size // (MOST_PARTS * MIB)) * MIB
    return Plan(size, chosen, -(-size // chosen))
