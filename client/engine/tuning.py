"""How hard the engine tries, and how much it does at once."""

from dataclasses import dataclass, field

from client.retries import RetryPolicy


@dataclass(frozen=True, slots=True)
class Tuning:
    """`limit_rate` in bytes a second over all files. In memory are at most 256 KiB for each part
    that is under way. `retries` is what one part may cost before its file fails; `renewals` how
    often in a row a refused signature is renewed before its route is given up.
    """

    parallel_parts: int = 8
    parallel_files: int = 1
    limit_rate: float | None = None
    stall_seconds: float = 30
    renewals: int = 2
    retries: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(attempts=7, budget_seconds=120, longest_delay=10)
    )

    @property
    def connections(self) -> int:
        return self.parallel_parts * self.parallel_files
