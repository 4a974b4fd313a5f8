"""Rates that replicas share, and the way to the logins that have ended

Revision ID: 0004
Revises: 0003
Created: 2026-11-25 22:10:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rates",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("next_turn", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rates")),
    )
    with op.batch_alter_table("refresh_tokens", schema=None) as batch_op:
        batch_op.create_index(
            "ix_refresh_tokens_revoked_at",
            ["revoked_at"],
            unique=False,
            postgresql_where=sa.text("revoked_at IS NOT NULL"),
            sqlite_where=sa.text("revoked_at IS NOT NULL"),
        )

    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.create_index(
            "ix_users_disabled_at",
            ["disabled_at"],
            unique=False,
            postgresql_where=sa.text("disabled_at IS NOT NULL"),
            sqlite_where=sa.text("disabled_at IS NOT NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_users_disabled_at",
            postgresql_where=sa.text("disabled_at IS NOT NULL"),
            sqlite_where=sa.text("disabled_at IS NOT NULL"),
        )

    with op.batch_alter_table("refresh_tokens", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_refresh_tokens_revoked_at",
            postgresql_where=sa.text("revoked_at IS NOT NULL"),
            sqlite_where=sa.text("revoked_at IS NOT NULL"),
        )

    op.drop_table("rates")
