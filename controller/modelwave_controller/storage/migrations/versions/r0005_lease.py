"""Adds the lease: which service leads, and whether its connection to the broker stands."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("connected", sa.Boolean, nullable=False),
        sa.Column("connected_since", sa.Float(53), nullable=False),
    )
    op.execute(
        "INSERT INTO lease "
        "(id, holder, host, pid, place, generation, beat, connected, connected_since) "
        "VALUES (1, '', '', 0, '', 0, 0, false, 0)"
    )
