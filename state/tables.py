"""The schema. state/migrations makes it; a test holds the two together."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from state.columns import UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _where(condition: str) -> dict[str, Any]:
    """A partial index, which both databases have."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


users = Table(
    "users",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("username", String(255), nullable=False),
    # What a name is compared by: NFKC, case-folded.
    Column("username_key", String(255), nullable=False, unique=True),
    Column("password_hash", String(255), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    Index("ix_users_disabled_at", "disabled_at", **_where("disabled_at IS NOT NULL")),
)

# One row a token. A family is one login: its tokens follow one another by rotation.
refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("family_id", String(64), nullable=False, index=True),
    Column("user_id", String(64), ForeignKey("users.id"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Index("ix_refresh_tokens_revoked_at", "revoked_at", **_where("revoked_at IS NOT NULL")),
)

# The history of user to identity: the newest row of a user in a pool is the one in force,
# and an old identity still resolves to its owner.
identities = Table(
    "identities",
    metadata,
    Column("pool_id", String(64), primary_key=True),
    Column("identity_id", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("current_since", UtcDateTime, nullable=False),
    Index(None, "pool_id", "user_id", "current_since"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_reason", String(255)),
    Column("origin", String(16), nullable=False),
    Column("transport", String(16), nullable=False),
    Column("transport_reason", String(64), nullable=False),
    Column("profile", String(64), nullable=False),
    Column("filename", String(1024), nullable=False),
    Column("content_type", String(255), nullable=False),
    Column("declared_size", BigInteger),
    Column("size", BigInteger),
    Column("declared_checksum", JSON),
    Column("checksum", JSON),
    Column("etag", String(255)),
    Column("version_id", String(1024)),
    Column("bucket", String(255), nullable=False),
    Column("key", String(1024), nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("fingerprint", String(255)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    # When the sweep looks next; null when nothing more can be learnt.
    Column("next_look_at", UtcDateTime, index=True),
    Column("looks", Integer, nullable=False, default=0),
    # Counts the records that one key has had: a name that a user chose may be deleted and
    # come back. Unique, so that two replicas cannot adopt one object twice.
    Column("generation", Integer, nullable=False, default=0),
    # What it counts in `usage` now.
    Column("charged", BigInteger, nullable=False, default=0),
    Column("part_size", BigInteger),
    Column("part_count", Integer),
    Column("multipart_id", String(1024)),
    Column("part_checksum", String(16)),
    # Of the event that last moved it (S3 only): an older one of its key is old news.
    Column("sequencer", String(1024)),
    UniqueConstraint("bucket", "key", "generation"),
    Index(None, "user_id", "created_at", "id"),
    Index(None, "user_id", "fingerprint"),
)

# The sum over a user's uploads of one profile: of `charged`, and of those in flight. Changed in
# the transactions that change these, so that a limit is held by one row.
usage = Table(
    "usage",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("profile", String(64), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("in_flight", Integer, nullable=False),
    CheckConstraint("bytes >= 0", name="bytes"),
    CheckConstraint("in_flight >= 0", name="in_flight"),
)

# One row a key, a user's own. `upload_id` is what the request came to; until then `holder` has
# the key, as long as the lease.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("holder", String(64), nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
    Column("upload_id", String(64)),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)

# What may stand in an address instead of an access token; the ticket itself is nowhere.
tickets = Table(
    "tickets",
    metadata,
    Column("id", String(64), primary_key=True),  # its hash
    Column("user_id", String(64), nullable=False, index=True),
    Column("profile", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("revoked_at", UtcDateTime),
)

# What sources said, committed before they are answered.
inbox = Table(
    "inbox",
    metadata,
    Column("id", Integer().with_variant(BigInteger, "postgresql"), primary_key=True),
    Column("source", String(16), nullable=False),
    Column("dedupe_key", String(64), nullable=False),
    Column("bucket", String(255), nullable=False),
    Column("key", Text, nullable=False),
    Column("size", BigInteger),
    Column("etag", String(1024)),
    Column("version_id", String(1024)),
    Column("sequencer", String(1024)),
    Column("event_time", UtcDateTime),
    Column("raw", Text, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("looks", Integer, nullable=False, server_default="0"),
    Column("faults", Integer, nullable=False, default=0, server_default="0"),
    Column("due_at", UtcDateTime, nullable=False),
    Column("leased_by", String(64)),
    Column("done_at", UtcDateTime),
    Column("failed", Boolean, nullable=False, default=False),
    # What came of it, in a word: completed, adopted, absent, skipped, …
    Column("outcome", String(64)),
    UniqueConstraint("source", "dedupe_key"),
    # What waits is little beside what is done.
    Index("ix_inbox_waiting", "due_at", "id", **_where("done_at IS NULL")),
    # Not of what waits: SQLite would take it for a claim, and sort all of that.
    Index("ix_inbox_done_at", "done_at", **_where("done_at IS NOT NULL")),
    Index(None, "key", "done_at"),
)

# The last number of a user's sequence of events.
user_sequences = Table(
    "user_sequences",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("last", BigInteger, nullable=False),
)

# What happened: the timeline of uploads, the page's stream, and the outbox. An event is spread
# over the endpoints once (`spread_at`), after which its deliveries tell what becomes of it.
events = Table(
    "events",
    metadata,
    Column("id", String(64), primary_key=True),  # the webhook-id
    Column("type", String(32), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("upload_id", String(64), index=True),
    Column("before", String(16)),
    Column("after", String(16)),
    Column("reason", String(255)),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("payload", Text, nullable=False),
    Column("spread_at", UtcDateTime),
    UniqueConstraint("user_id", "sequence"),
    Index("ix_events_unspread", "at", **_where("spread_at IS NULL")),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("url", String(2048), nullable=False),
    Column("description", String(255), nullable=False),
    Column("event_types", JSON),
    # They sign, so they cannot be hashed.
    Column("secret", String(255), nullable=False),
    Column("previous_secret", String(255)),
    Column("previous_until", UtcDateTime),
    Column("enabled", Boolean, nullable=False),
    Column("disabled_reason", String(255)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# One event for one endpoint.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer().with_variant(BigInteger, "postgresql"), primary_key=True),
    Column("event_id", String(64), ForeignKey("events.id"), nullable=False),
    Column("endpoint_id", String(64), ForeignKey("webhook_endpoints.id"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # Begun; and of those the ones whose failure was noted, by which the retry plan goes.
    Column("attempts", Integer, nullable=False, default=0),
    Column("failures", Integer, nullable=False, default=0, server_default="0"),
    Column("due_at", UtcDateTime, nullable=False),
    Column("leased_by", String(64)),
    Column("attempted_at", UtcDateTime),
    Column("last_status", Integer),
    Column("last_error", String(255)),
    Column("done_at", UtcDateTime),
    Column("delivered", Boolean, nullable=False, default=False),
    UniqueConstraint("event_id", "endpoint_id"),
    Index("ix_deliveries_waiting", "endpoint_id", "due_at", "id", **_where("done_at IS NULL")),
    Index(None, "endpoint_id", "id"),
)

# When the next turn of a rate is free that replicas share, by this server's clock. Replicas with
# Redis have it there.
rates = Table(
    "rates",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("next_turn", UtcDateTime, nullable=False),
)
