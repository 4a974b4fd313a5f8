"""Events, outgoing webhooks, and the order of the store's events

Revision ID: 0003
Revises: 0002
Created: 2026-11-25 18:45:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("upload_id", sa.String(length=64), nullable=True),
        sa.Column("before", sa.String(length=16), nullable=True),
        sa.Column("after", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("spread_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("user_id", "sequence", name=op.f("uq_events_user_id_sequence")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_events_at"), ["at"], unique=False)
        batch_op.create_index(
            "ix_events_unspread",
            ["at"],
            unique=False,
            postgresql_where=sa.text("spread_at IS NULL"),
            sqlite_where=sa.text("spread_at IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_events_upload_id"), ["upload_id"], unique=False)

    op.create_table(
        "user_sequences",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_user_sequences")),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("event_types", sa.JSON(), nullable=True),
        sa.Column("secret", sa.String(length=255), nullable=False),
        sa.Column("previous_secret", sa.String(length=255), nullable=True),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer().with_variant(sa.BigInteger(), "postgresql"), nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("endpoint_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leased_by", sa.String(length=64), nullable=True),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.String(length=255), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoints.id"], name=op.f("fk_deliveries_endpoint_id")
        ),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("fk_deliveries_event_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint(
            "event_id", "endpoint_id", name=op.f("uq_deliveries_event_id_endpoint_id")
        ),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_deliveries_endpoint_id_id"), ["endpoint_id", "id"], unique=False
        )
        batch_op.create_index(
            "ix_deliveries_waiting",
            ["endpoint_id", "due_at", "id"],
            unique=False,
            postgresql_where=sa.text("done_at IS NULL"),
            sqlite_where=sa.text("done_at IS NULL"),
        )

    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("looks", sa.Integer(), server_default="0", nullable=False)
        )
        batch_op.drop_index(batch_op.f("ix_inbox_done_at_due_at"))
        batch_op.create_index(
            "ix_inbox_done_at",
            ["done_at"],
            unique=False,
            postgresql_where=sa.text("done_at IS NOT NULL"),
            sqlite_where=sa.text("done_at IS NOT NULL"),
        )
        batch_op.create_index(
            batch_op.f("ix_inbox_key_done_at"), ["key", "done_at"], unique=False
        )
        batch_op.create_index(
            "ix_inbox_waiting",
            ["due_at", "id"],
            unique=False,
            postgresql_where=sa.text("done_at IS NULL"),
            sqlite_where=sa.text("done_at IS NULL"),
        )

    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sequencer", sa.String(length=1024), nullable=True))

    # Written down as replaced by the older program, which had no verdict on replacements and may not
    # have verified it: without an ETag to compare, the next look does, and nothing is downloaded
    # before it.
    op.execute("UPDATE uploads SET etag = NULL WHERE status = 'replaced'")


def downgrade() -> None:
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.drop_column("sequencer")

    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_inbox_waiting",
            postgresql_where=sa.text("done_at IS NULL"),
            sqlite_where=sa.text("done_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_inbox_key_done_at"))
        batch_op.drop_index(
            "ix_inbox_done_at",
            postgresql_where=sa.text("done_at IS NOT NULL"),
            sqlite_where=sa.text("done_at IS NOT NULL"),
        )
        batch_op.create_index(
            batch_op.f("ix_inbox_done_at_due_at"), ["done_at", "due_at"], unique=False
        )
        batch_op.drop_column("looks")

    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_deliveries_waiting",
            postgresql_where=sa.text("done_at IS NULL"),
            sqlite_where=sa.text("done_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_deliveries_endpoint_id_id"))

    op.drop_table("deliveries")
    op.drop_table("webhook_endpoints")
    op.drop_table("user_sequences")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_events_upload_id"))
        batch_op.drop_index(
            "ix_events_unspread",
            postgresql_where=sa.text("spread_at IS NULL"),
            sqlite_where=sa.text("spread_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_events_at"))

    op.drop_table("events")
