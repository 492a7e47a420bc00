"""Adds what deltas have spared devices."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0015"


def upgrade() -> None:
    saved = sa.Column("saved", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("device_models", saved)
    only = sa.text("saved > 0")
    op.create_index(
        "device_models_saved",
        "device_models",
        ["sha256", "saved"],
        sqlite_where=only,
        postgresql_where=only,
    )
