"""Adds the gateway through which each device is reached."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("devices", sa.Column("via", sa.Text, nullable=False, server_default=""))
    some = sa.text("via <> ''")
    op.create_index(
        "devices_by_gateway",
        "devices",
        ["via", "device"],
        sqlite_where=some,
        postgresql_where=some,
    )
