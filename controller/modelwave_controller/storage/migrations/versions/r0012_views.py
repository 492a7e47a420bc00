"""Adds what devices say of their view of their orders."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("devices", sa.Column("view", sa.Text, nullable=False, server_default=""))
