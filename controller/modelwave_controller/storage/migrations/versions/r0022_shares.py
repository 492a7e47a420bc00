"""Adds the shares of the devices that ingest processes receive, and what these hand over."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    shares = sa.Column("shares", sa.BigInteger, nullable=False, server_default="0")
    renewed = sa.Column("renewed_at", sa.Float(53), nullable=False, server_default="0")
    op.add_column("lease", shares)
    op.add_column("lease", renewed)
    op.create_table(
        "handed_over",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
    )
