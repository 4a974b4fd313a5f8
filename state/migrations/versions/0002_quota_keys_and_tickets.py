"""Quota, multiparts, Idempotency-Keys and tickets

Revision ID: 0002
Revises: 0001
Created: 2026-11-25 15:40:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_CHARGE = """
    UPDATE uploads SET charged =
        CASE WHEN status IN ('rejected', 'aborted', 'expired', 'deleted') THEN 0
             ELSE COALESCE(size, declared_size, 0) END
"""
_COUNT = """
    INSERT INTO usage (user_id, profile, bytes, in_flight)
    SELECT user_id, profile, SUM(charged),
           SUM(CASE WHEN status IN ('pending', 'uploading') THEN 1 ELSE 0 END)
    FROM uploads GROUP BY user_id, profile
"""


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.CheckConstraint("bytes >= 0", name=op.f("ck_usage_bytes")),
        sa.CheckConstraint("in_flight >= 0", name=op.f("ck_usage_in_flight")),
        sa.PrimaryKeyConstraint("user_id", "profile", name=op.f("pk_usage")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("upload_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_idempotency_keys")),
    )
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_idempotency_keys_created_at"), ["created_at"], unique=False
        )

    op.create_table(
        "tickets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tickets")),
    )
    with op.batch_alter_table("tickets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tickets_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_tickets_user_id"), ["user_id"], unique=False)

    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.add_column(sa.Column("charged", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("part_size", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("part_count", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("multipart_id", sa.String(length=1024), nullable=True))
        batch_op.add_column(sa.Column("part_checksum", sa.String(length=16), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_uploads_user_id_fingerprint"), ["user_id", "fingerprint"], unique=False
        )

    # The tables are locked until this commits: what is counted here is all there is.
    op.execute(_CHARGE)
    op.execute(_COUNT)
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.alter_column("charged", existing_type=sa.BigInteger(), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_uploads_user_id_fingerprint"))
        batch_op.drop_column("part_checksum")
        batch_op.drop_column("multipart_id")
        batch_op.drop_column("part_count")
        batch_op.drop_column("part_size")
        batch_op.drop_column("charged")

    with op.batch_alter_table("tickets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tickets_user_id"))
        batch_op.drop_index(batch_op.f("ix_tickets_expires_at"))

    op.drop_table("tickets")
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_keys_created_at"))

    op.drop_table("idempotency_keys")
    op.drop_table("usage")
