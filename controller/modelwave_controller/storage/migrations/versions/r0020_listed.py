"""Adds the root that each device trusts, and indexes of what commands look for in a large fleet."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

NO_SUCCESS = (
    "(outcome NOT IN ('', 'SUCCEEDED', 'SHADOWED') OR later NOT IN ('', 'SUCCEEDED', 'SHADOWED'))"
)


def upgrade() -> None:
    root = sa.Column("root", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("devices", root)
    _partial_index("answered_no_success", "answered", ["rollout", "device"], NO_SUCCESS)
    _partial_index("devices_that_refused", "devices", ["device"], "refused <> ''")
    _partial_index("devices_with_clones", "devices", ["device"], "clones > 0")
    op.create_index("device_models_by_number", "device_models", ["model", "epoch", "seq"])


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )
