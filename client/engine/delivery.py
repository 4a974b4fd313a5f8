"""The pieces of one file on their way to the store, several at once, by the best open route."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from client.engine.answers import (
    CutError,
    MultipartLostError,
    RefusedError,
    UnreachableError,
    read_answer,
)
from client.engine.body import Body, Source
from client.engine.events import OnEvent, PieceResent, PieceStored, Switched
from client.engine.plan import Piece
from client.engine.routes import Route, RouteClosedError, Target
from client.engine.sending import Sender
from client.engine.tries import Tries
from client.engine.tuning import Tuning
from client.engine.watchdog import Watchdog
from client.problems import ClientError, TransferError


class NoRouteError(Exception):
    """All routes are closed; `cause` is why the last one is."""

    def __init__(self, cause: ClientError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Delivery:
    """`routes`: the best first; one that closes is never opened again. `stored` are the numbers of
    the pieces that the store has taken: none of them is sent again.
    """

    def __init__(
        self,
        source: Source,
        sender: Sender,
        tuning: Tuning,
        on_event: OnEvent,
    ) -> None:
        self._source = source
        self._sender = sender
        self._tuning = tuning
        self._on_event = on_event
        self._routes: deque[Route] = deque()
        self._cause: ClientError = TransferError("no route is open")
        self._queue: deque[Piece] = deque()
        self.stored: set[int] = set()
        self.by: list[str] = []
        self.sent = 0
        self.last_route = ""

    def open(self, routes: Sequence[Route]) -> None:
        self._routes = deque(routes)
        if routes:
            self.last_route = routes[-1].name

    @property
    def open_routes(self) -> int:
        return len(self._routes)

    def upcoming(self, count: int) -> list[Piece]:
        return list(islice(self._queue, count))

    async def run(self, pieces: Iterable[Piece]) -> None:
        """Until the store has them all. Raises NoRouteError, MultipartLostError, and the first
        ClientError that trying again does not mend; what is under way then is given up.
        """
        self._queue = deque(pieces)
        count = min(self._tuning.parallel_parts, len(self._queue))
        workers = [asyncio.create_task(self._work()) for _ in range(count)]
        try:
            await _all_or_first_failure(workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self) -> None:
        while self._queue:
            await self._deliver(self._queue.popleft())

    async def _deliver(self, piece: Piece) -> None:
        tries = Tries(self._tuning)
        while not await self._tried(piece, self._best_route(), tries):
            pass

    def _best_route(self) -> Route:
        if not self._routes:
            raise NoRouteError(self._cause)
        return self._routes[0]

    async def _tried(self, piece: Piece, route: Route, tries: Tries) -> bool:
        """Whether it has arrived. Raises what another try does not mend."""
        try:
            target = await route.target(piece)
        except RouteClosedError as closed:
            self._close(route, closed.cause)
            tries.by_another_route()
            return False
        try:
            await self._send(piece, target)
        except RefusedError as refusal:
            await self._refused(piece, route, target, refusal, tries)
        except (CutError, UnreachableError) as error:
            self._on_event(PieceResent(piece.number, str(error)))
            await tries.wait(error)
        else:
            self.done(piece, route.name)
            return True
        return False

    async def _send(self, piece: Piece, target: Target) -> None:
        watchdog = Watchdog(self._tuning.stall_seconds)
        body = Body(self._source, piece.offset, piece.length, watchdog)
        kept = 0
        try:
            answer = await self._sender.put(target.url, target.headers, body, watchdog)
            read_answer(answer.status, answer.headers, answer.body)
            kept = piece.length
        finally:
            body.take_back(kept)

    async def _refused(
        self, piece: Piece, route: Route, target: Target, refusal: RefusedError, tries: Tries
    ) -> None:
        """Returns when it is worth another sending."""
        if refusal.helps == "restart":
            raise MultipartLostError(str(refusal)) from None
        if refusal.helps == "nothing":
            raise refusal
        self._on_event(PieceResent(piece.number, str(refusal)))
        if refusal.helps == "again":
            await tries.wait(refusal, refusal.retry_after)
        elif tries.may_renew():
            route.renounce(piece, target)
        else:
            self._close(route, refusal)
            tries.by_another_route()

    def _close(self, route: Route, cause: ClientError) -> None:
        """The first to notice closes it; the others find the next one open."""
        if not self._routes or self._routes[0] is not route:
            return
        self._routes.popleft()
        self._cause = cause
        if not self._routes:
            raise NoRouteError(cause)
        self._on_event(Switched(route.name, self._routes[0].name, str(cause)))

    def done(self, piece: Piece, by: str) -> None:
        """Also told by the relay of what went another way."""
        self.stored.add(piece.number)
        self.sent += 1
        if by not in self.by:
            self.by.append(by)
        self._on_event(PieceStored(piece.number, by))


async def _all_or_first_failure(workers: Sequence["asyncio.Task[None]"]) -> None:
    if not workers:
        return
    done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
    for worker in done:
        worker.result()
