"""Adds how often a device has gone on with an order that it had refused."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    times = sa.Column("went_on", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("device_models", times)
