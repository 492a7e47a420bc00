"""Adds the install ids of devices, by which a device that was replaced or wiped is recognised, and
two that use one id.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for table in ("devices", "metrics"):
        for name in ("install", "installs"):
            op.add_column(table, sa.Column(name, sa.Text, nullable=False, server_default=""))
    for name, kind in (
        ("replaced_at", sa.Float(53)),
        ("clones", sa.BigInteger()),
        ("clone_clock", sa.Float(53)),
    ):
        op.add_column("devices", sa.Column(name, kind, nullable=False, server_default="0"))
