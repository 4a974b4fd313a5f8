"""Which routes a file may take, the best first."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from client.engine.by_addresses import ByAddresses
from client.engine.by_keys import ByKeys
from client.engine.by_put import ByPut
from client.engine.local_file import LocalFile
from client.engine.means import Means
from client.engine.plan import Piece, Plan
from client.engine.routes import PieceChecksums, Route
from client.grants import now
from client.signed import Signed
from client.wire import Upload

# Addresses fetched at once, for each part that is under way at a time.
_AHEAD = 4


def routes_for(
    means: Means,
    file: LocalFile,
    record: Upload,
    plan: Plan,
    *,
    transport: str,
    upcoming: Callable[[int], Sequence[Piece]],
) -> list[Route]:
    """`transport` is what the user asked for; auto begins with the record's own. None at all
    means that everything goes through the service.
    """
    best = record.transport if transport == "auto" else transport
    checksums = PieceChecksums(file, plan, means.threads)
    if best == "relay":
        return []
    if best == "presigned":
        return [_by_addresses(means, record, plan, checksums, upcoming)]
    patience = None if transport == "auto" else means.tuning.retries
    by_keys = ByKeys(means.ring, record, plan, checksums, patience=patience)
    if transport == "auto":
        return [by_keys, _by_addresses(means, record, plan, checksums, upcoming)]
    return [by_keys]


def _by_addresses(
    means: Means,
    record: Upload,
    plan: Plan,
    checksums: PieceChecksums,
    upcoming: Callable[[int], Sequence[Piece]],
) -> Route:
    api, threads = means.api, means.threads
    skew = record.server_time - now() if record.server_time else timedelta(0)

    async def renew() -> Signed | None:
        return (await threads.call(api.switch_transport, record.id, "presigned")).put

    async def sign(numbers: Sequence[int], sums: Mapping[int, str]) -> Mapping[int, Signed]:
        return await threads.call(api.sign_parts, record.id, numbers, sums)

    if plan.whole:
        return ByPut(record.put, renew, skew=skew)
    # Checksums have to be known when an address is signed, and cost reading the part once more.
    ahead = 1 if checksums.needed else _AHEAD
    batch = ahead * means.tuning.parallel_parts
    return ByAddresses(sign, checksums, upcoming=upcoming, batch=batch, skew=skew)
