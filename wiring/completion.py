"""The room of completion: from the store's word to a verified record."""

from datetime import timedelta

from service.clock import utc_now
from service.completion.adoption import Adoption, AdoptionRules
from service.completion.completion import Completion
from service.completion.decision import Deciding
from service.completion.processor import Processor, ProcessorLimits
from service.completion.settlement import Settlement
from service.completion.sweep import Sweep, SweepLimits
from service.uploads.completing import Completing
from state.inbox import SqlInbox
from wiring.parts import Parts

# Of the temporary credentials that Cognito gives, which can write until then.
_KEYS_LIFE = timedelta(hours=1)


def settlement_of(parts: Parts) -> Settlement:
    store = parts.settings.store
    rules = AdoptionRules(store.adoption, store.adoption_skips)
    return Settlement(
        records=parts.records,
        store=parts.store,
        adoption=Adoption(parts.grants, rules, parts.policy.profile(None).name),
        deciding=Deciding(parts.policy, parts.url_life),
        scans=None,
        clock=utc_now,
    )


def completion_of(parts: Parts, settlement: Settlement, completing: Completing) -> Completion:
    settings, database, overdue = parts.settings, parts.database, parts.overdue
    values = settings.completion
    inbox = SqlInbox(database, limit=values.inbox_limit)
    limits = ProcessorLimits(
        batch=values.batch,
        concurrency=values.concurrency,
        lease=timedelta(seconds=values.lease_seconds),
        max_attempts=values.max_attempts,
        absent_attempts=values.absent_attempts,
    )
    kept = timedelta(days=values.inbox_days)
    return Completion(
        inbox=inbox,
        processor=Processor(inbox=inbox, settlement=settlement, limits=limits, clock=utc_now),
        sweep=Sweep(
            records=parts.records,
            inbox=inbox,
            settlement=settlement,
            keeper=parts.keeper,
            reject_overgrown=completing.reject_overgrown,
            limits=SweepLimits(
                overdue=overdue,
                late_bytes=max(parts.url_life, _KEYS_LIFE) + overdue,
                batch=values.batch,
                concurrency=values.concurrency,
                keep_events=kept,
            ),
            clock=utc_now,
        ),
        sweep_seconds=values.sweep_interval_seconds,
        bucket=settings.store.bucket,
        clock=utc_now,
    )
