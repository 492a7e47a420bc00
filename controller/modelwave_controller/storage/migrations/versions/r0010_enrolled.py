"""Adds the devices that the operator enrolled or approved, and those that wait for approval."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "enrolled",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("verifier", sa.Text, nullable=False),
        sa.Column("enrolled_at", sa.Float(53), nullable=False),
        sa.Column("revoked_at", sa.Float(53), nullable=False),
        sa.Column("approved_at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "waiting",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("reports", sa.BigInteger, nullable=False),
        sa.Column("since", sa.Float(53), nullable=False),
        sa.Column("seen_at", sa.Float(53), nullable=False),
    )
