"""Which version of each document a device reads, as its report says.

The row "schema" of `heads` is what a modelwave from before the migrations looks at: anything
but 1 makes it refuse the database. Nothing else reads that row, and no later revision
changes it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("devices", sa.Column("reads", sa.Text, nullable=False, server_default=""))
    op.execute("UPDATE heads SET value = 2 WHERE name = 'schema'")
