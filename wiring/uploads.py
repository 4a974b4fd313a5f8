"""The room of uploads."""

from dataclasses import replace
from datetime import timedelta

from service.clock import utc_now
from service.completion.settlement import Settlement
from service.uploads.completing import Completing
from service.uploads.creation import Creation, PartSizes, Timing
from service.uploads.operation_tickets import OperationTickets
from service.uploads.relay import Relay
from service.uploads.transfers import Transfers
from service.uploads.transports import Transports
from settings import Settings
from wiring.parts import Parts, signer


def creation_of(parts: Parts, transports: Transports) -> Creation:
    values = parts.settings.uploads
    return Creation(
        records=parts.records,
        keys=parts.keys,
        keeper=parts.keeper,
        transports=transports,
        policy=parts.policy,
        bucket=parts.settings.store.bucket,
        timing=Timing(
            expires=timedelta(seconds=values.expires_seconds),
            overdue=parts.overdue,
            lease=timedelta(seconds=values.idempotency_lease_seconds),
        ),
        part_sizes=PartSizes(threshold=values.multipart_threshold, preferred=values.part_size),
        clock=parts.database.clock,
    )


def transfers_of(parts: Parts, transports: Transports) -> Transfers:
    return Transfers(
        records=parts.records,
        multiparts=parts.multiparts,
        keeper=parts.keeper,
        signer=parts.signer,
        transports=transports,
        policy=parts.policy,
        url_life=parts.url_life,
        clock=parts.database.clock,
    )


def relay_of(parts: Parts, transports: Transports, completing: Completing) -> Relay:
    """Signs for itself: the store may have another address here than for clients."""
    inside = replace(parts, signer=signer(parts.settings, parts.credentials, public=False))
    return Relay(
        transfers=transfers_of(inside, transports),
        keeper=inside.keeper,
        signer=inside.signer,
        sink=inside.sink,
        completing=completing,
        most_of_one_user=inside.settings.relay.max_per_user,
    )


def operation_tickets_of(settings: Settings) -> OperationTickets:
    keys = [settings.auth.signing_key, *settings.auth.previous_signing_keys]
    return OperationTickets(
        [key.get_secret_value() for key in keys],
        life=timedelta(seconds=settings.tickets.operation_seconds),
        clock=utc_now,
    )


def completing_of(parts: Parts, settlement: Settlement) -> Completing:
    seconds = parts.settings.uploads.complete_timeout_seconds
    return Completing(
        records=parts.records,
        keys=parts.keys,
        store=parts.store,
        multiparts=parts.multiparts,
        keeper=parts.keeper,
        policy=parts.policy,
        settle=settlement.settle,
        lease=timedelta(seconds=seconds + 60),
        clock=parts.database.clock,
    )
