"""Attempts that failed, apart from those that were only begun

Revision ID: 0005
Revises: 0004
Created: 2026-11-26 01:45:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default of the database's own: a replica of before may still insert without it.
    op.add_column(
        "deliveries",
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
    )
    op.execute("UPDATE deliveries SET failures = attempts WHERE done_at IS NULL")
    # Last, as it holds the inbox until the commit.
    op.add_column(
        "inbox",
        sa.Column("faults", sa.Integer(), server_default="0", nullable=False),
    )


def downgrade() -> None:
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_column("faults")

    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_column("failures")
