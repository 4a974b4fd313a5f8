"""How large the parts of a file are: a pure plan within S3's limits."""

MIB = 1024 * 1024
SMALLEST_PART = 8 * MIB
LARGEST_PART = 5 * 1024 * MIB
MOST_PARTS = 10_000
LARGEST_OBJECT = MOST_PARTS * LARGEST_PART  # 48.8 TiB


def part_size(size: int) -> int:
    """Bytes of each part but the last, whole MiB. Raises ValueError beyond S3's 48.8 TiB."""
    if not 0 <= size <= LARGEST_OBJECT:
        raise ValueError("S3 stores objects of up to 48.8 TiB")
    needed = -(-size // MOST_PARTS)
    return max(SMALLEST_PART, -(-needed // MIB) * MIB)


def part_count(size: int) -> int:
    """How many parts that makes; a file of one part or less goes in a single request."""
    return max(1, -(-size // part_size(size)))
