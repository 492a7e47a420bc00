"""Adds the rollout clock, which soaks and deadlines run by, and its reading at each device's last
report.

The wall clock is expected to go on from the last tick of a service.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seconds", sa.Float(53), nullable=False),
        sa.Column("wall", sa.Float(53), nullable=False),
        sa.Column("doubt", sa.Text, nullable=False),
        sa.Column("doubt_event", sa.BigInteger, nullable=False),
        sa.Column("accepts", sa.Integer, nullable=False),
        sa.Column("accepted", sa.Text, nullable=False),
        sa.Column("accepted_at", sa.Float(53), nullable=False),
        sa.Column("accepted_event", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO clock "
        "(id, seconds, wall, doubt, doubt_event, accepts, accepted, accepted_at, accepted_event) "
        "SELECT 1, 0, value, '', 0, 0, '', 0, 0 FROM heads WHERE name = 'ticked'"
    )
    op.add_column(
        "devices", sa.Column("seen_clock", sa.Float(53), nullable=False, server_default="0")
    )
