"""The room of completion: from the store's word to a verified record."""

from datetime import timedelta

from aws.clients import AwsClients
from aws.sqs import SqsQueue
from service.completion.adoption import Adoption, AdoptionRules
from service.completion.completion import LANES, Completion
from service.completion.decision import Deciding
from service.completion.orphans import Orphans
from service.completion.processor import Processor, ProcessorLimits
from service.completion.queue import ConsumerLimits, QueueConsumer
from service.completion.scans import ScanRule, Scans
from service.completion.settlement import Settlement
from service.completion.sweep import Sweep, SweepLimits
from service.completion.upkeep import Upkeep
from service.uploads.completing import Completing
from settings import Settings
from state.inbox import SqlInbox
from wiring.parts import Parts

# Of the temporary credentials that Cognito gives.
_KEYS_LIFE = timedelta(hours=1)


def settlement_of(parts: Parts) -> Settlement:
    settings = parts.settings
    store = settings.store
    rules = AdoptionRules(store.adoption, store.adoption_skips)
    return Settlement(
        records=parts.records,
        store=parts.store,
        adoption=Adoption(parts.grants, rules, parts.policy.profile(None).name),
        deciding=deciding_of(parts),
        scans=_scans(parts),
        clock=parts.database.clock,
    )


def deciding_of(parts: Parts) -> Deciding:
    scanned = parts.settings.completion.scan_tag is not None
    return Deciding(parts.policy, parts.url_life, parts.overdue, scanned)


def completion_of(parts: Parts, settlement: Settlement, completing: Completing) -> Completion:
    settings, database, overdue = parts.settings, parts.database, parts.overdue
    values, clock = settings.completion, database.clock
    inbox = SqlInbox(database, limit=values.inbox_limit)
    limits = ProcessorLimits(
        batch=max(1, values.batch // LANES),
        concurrency=max(1, values.concurrency // LANES),
        lease=timedelta(seconds=values.lease_seconds),
        max_attempts=values.max_attempts,
        absent_looks=values.absent_looks,
    )
    return Completion(
        inbox=inbox,
        processor=Processor(inbox=inbox, settlement=settlement, limits=limits, clock=clock),
        sweep=Sweep(
            records=parts.records,
            settlement=settlement,
            keeper=parts.keeper,
            reject_overgrown=completing.reject_overgrown,
            later_look=deciding_of(parts).later_look,
            limits=SweepLimits(
                overdue=overdue,
                late_bytes=max(parts.url_life, _keys_life(settings)) + overdue,
                batch=values.batch,
                concurrency=values.concurrency,
            ),
            clock=clock,
        ),
        upkeep=Upkeep(
            inbox=inbox,
            keep=timedelta(days=values.inbox_days),
            lease=limits.lease,
            clock=clock,
        ),
        orphans=Orphans(
            records=parts.records,
            multiparts=parts.multiparts,
            owners=parts.grants,
            bucket=settings.store.bucket,
            orphan_age=timedelta(hours=values.orphan_hours),
            clock=clock,
        ),
        orphan_seconds=values.orphan_interval_seconds,
        sweep_seconds=values.sweep_interval_seconds,
        bucket=settings.store.bucket,
        clock=clock,
    )


def _scans(parts: Parts) -> Scans | None:
    values = parts.settings.completion
    if values.scan_tag is None:
        return None
    rule = ScanRule(values.scan_tag, frozenset(values.scan_clean), frozenset(values.scan_rejected))
    return Scans(store=parts.store, rule=rule)


def consumer_of(settings: Settings, clients: AwsClients, completion: Completion) -> QueueConsumer:
    """Raises ValueError where no queue is configured."""
    values = settings.sqs
    if clients.sqs is None or values.queue_url is None:
        raise ValueError("there is no queue")
    queue = SqsQueue(
        clients.sqs,
        url=values.queue_url,
        wait_seconds=values.wait_seconds,
        visibility_seconds=values.visibility_seconds,
        call_seconds=settings.aws.call_timeout_seconds,
    )
    limits = ConsumerLimits(
        receivers=values.receivers, visibility_seconds=values.visibility_seconds
    )
    return QueueConsumer(queue=queue, accept=completion.accept, limits=limits)


def _keys_life(settings: Settings) -> timedelta:
    """How long after a grant can be written: keys may be fetched as long as its token lives."""
    return _KEYS_LIFE + timedelta(seconds=settings.cognito.token_seconds)
