"""Adds the format versions that a device reads, as its report says.

A modelwave from before the migrations checks the row "schema" of `heads`: it refuses the
database unless the value is 1. Nothing else reads that row, and no later revision changes it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("devices", sa.Column("reads", sa.Text, nullable=False, server_default=""))
    op.execute("UPDATE heads SET value = 2 WHERE name = 'schema'")
