"""Adds the tries of a model that a device tries again to get, and the tags of devices."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for name in ("tries", "next_seconds"):
        column = sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        op.add_column("device_models", column)
    op.create_table(
        "tags",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("tag", sa.Text, primary_key=True),
    )
