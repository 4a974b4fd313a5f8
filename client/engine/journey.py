"""One record, from its first piece until the service has completed it."""

from collections.abc import Sequence

from client.engine.answers import CutError, MultipartLostError, UnreachableError
from client.engine.body import Source
from client.engine.completion import completed
from client.engine.delivery import Delivery, NoRouteError
from client.engine.events import Begun, OnEvent, Restarted, Switched
from client.engine.itinerary import routes_for
from client.engine.means import Means
from client.engine.plan import Piece, Plan, plan_of
from client.engine.relay import Relay
from client.problems import ApiError, ClientError, TransferError
from client.wire import ARRIVED, Upload

# How often what the service names as missing is sent again.
_ROUNDS = 4
_LARGEST_PUT = 5 * 1024**3
# Whatever the service's threshold: below, nothing is lost by beginning again.
_NOT_WORTH_PARTS = 8 * 1024**2


class Journey:
    """`transport` is what the user asked for. `record` is always the newest there is."""

    def __init__(
        self, means: Means, source: Source, record: Upload, transport: str, on_event: OnEvent
    ) -> None:
        self._means = means
        self._source = source
        self._transport = transport
        self._on_event = on_event
        self._restarted = False
        self._plan = Plan(())
        self.record = record
        self.delivery = Delivery(source, means.sender, means.tuning, on_event)
        self._relay = Relay(
            means.api,
            means.sender,
            source,
            means.tuning,
            look=self._look,
            stored=lambda piece: self.delivery.done(piece, Relay.name),
        )

    async def travel(self, *, resumed: bool) -> Upload:
        """Raises ClientErrors; then `record` is as it was last seen."""
        missing = await self._begin(resumed=resumed)
        for _ in range(_ROUNDS):
            try:
                await self._send(missing)
                missing = await self._completed()
            except MultipartLostError as lost:
                missing = await self._restart(lost)
            if not missing:
                return self.record
        raise TransferError("the service keeps missing what the store has taken")

    async def _begin(self, *, resumed: bool) -> Sequence[Piece]:
        await self._ensure_parts(resumed=resumed)
        self._take_plan()
        missing: Sequence[Piece] = self._plan.pieces
        if resumed and not self._plan.whole:
            _, missing = await self._look()
        kept = self._note_kept(missing)
        self._source.progress(kept)
        pieces = len(self._plan.pieces)
        self._on_event(
            Begun(self.record.id, self.record.transport, pieces, pieces - len(missing), kept)
        )
        return missing

    async def _ensure_parts(self, *, resumed: bool) -> None:
        """The multipart comes after the record, and may have been lost since."""
        size = self._source.file.size
        smallest = _NOT_WORTH_PARTS if resumed else _LARGEST_PUT
        if self.record.multipart is None and size > smallest:
            try:
                await self._another_multipart()
            except ApiError as error:
                if error.code != "invalid_part":  # it does go in one request
                    raise

    def _take_plan(self) -> None:
        file, record = self._source.file, self.record
        self._plan = plan_of(file.size, record.multipart, record.checksum)
        routes = routes_for(
            self._means,
            file,
            record,
            self._plan,
            transport=self._transport,
            upcoming=self.delivery.upcoming,
        )
        self.delivery.open(routes)

    def _note_kept(self, missing: Sequence[Piece]) -> int:
        """Its bytes."""
        gone = {piece.number for piece in missing}
        kept = [piece for piece in self._plan.pieces if piece.number not in gone]
        self.delivery.stored.update(piece.number for piece in kept)
        return sum(piece.length for piece in kept)

    async def _send(self, missing: Sequence[Piece]) -> None:
        if self.delivery.open_routes:
            try:
                await self.delivery.run(missing)
            except NoRouteError as error:
                self._go_by_relay(error.cause)
            except (CutError, UnreachableError) as error:
                self._go_by_relay(error)
            else:
                return
            missing = [piece for piece in missing if piece.number not in self.delivery.stored]
        self.record = await self._relay.run(self.record, self._plan, missing)

    def _go_by_relay(self, cause: ClientError) -> None:
        """The last resort of auto, where the store is out of reach or nothing else is allowed."""
        if self._transport != "auto":
            raise cause
        # Something in between may cut off every connection, but not one that has carried a piece.
        cut_off = isinstance(cause, CutError) and not self.delivery.sent
        if not cut_off and not isinstance(cause, UnreachableError | ApiError):
            raise cause
        self.delivery.open([])
        self._on_event(Switched(self.delivery.last_route, Relay.name, str(cause)))

    async def _completed(self) -> Sequence[Piece]:
        """What is missing still."""
        await self._source.threads.read(self._source.file.check)
        if self.record.status in ARRIVED:
            return ()
        answer = await completed(self._means, self.record, self._plan)
        if isinstance(answer, Upload):
            self.record = answer
            return ()
        self._forget(answer)
        return answer

    async def _restart(self, lost: MultipartLostError) -> Sequence[Piece]:
        """All of it, once more, into a new multipart."""
        if self._restarted or self._plan.whole:
            raise lost
        self._restarted = True
        self._on_event(Restarted())
        self._forget(self._plan.pieces)
        await self._another_multipart()
        self._take_plan()
        return self._plan.pieces

    def _forget(self, pieces: Sequence[Piece]) -> None:
        again = [piece for piece in pieces if piece.number in self.delivery.stored]
        self.delivery.stored.difference_update(piece.number for piece in again)
        self._source.progress(-sum(piece.length for piece in again))

    async def _another_multipart(self) -> None:
        """Asked what there is, the service notices that there is none; asked for an address it
        makes a new one.
        """
        api, call = self._means.api, self._means.threads.call
        await call(api.stored_parts, self.record.id)
        await call(api.sign_parts, self.record.id, [1])
        self.record = await call(api.upload, self.record.id)

    async def _look(self) -> tuple[Upload, list[Piece]]:
        """The record as it is now, and what is missing at the store."""
        record = await self._means.threads.call(self._means.api.upload, self.record.id)
        if record.status in ARRIVED:
            return record, []
        if self._plan.whole:
            return record, list(self._plan.pieces)
        stored = await self._means.threads.call(self._means.api.stored_parts, record.id)
        return record, self._plan.missing(stored)
