"""Adds how far each alert has come in the log."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.BigInteger, nullable=False),
        sa.Column("since", sa.Float(53), nullable=False),
        sa.Column("sent", sa.BigInteger, nullable=False),
        sa.Column("sent_at", sa.Float(53), nullable=False),
        sa.Column("given_up", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("error_at", sa.Float(53), nullable=False),
    )
