"""Orders are numbered anew in each epoch of the root: their numbers belong to it."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_COLUMNS = (
    "model, epoch, seq, rollout, target, manifest, slots, message, device, issued, expires, quiet, "
    "shadow"
)


def upgrade() -> None:
    op.add_column("floors", sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"))
    # SQLite cannot change a table's key.
    op.rename_table("orders", "orders_before")
    op.create_table(
        "orders",
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("rollout", sa.Integer, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
        sa.Column("slots", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False, server_default=""),
        sa.Column("device", sa.Text, nullable=False, server_default=""),
        sa.Column("issued", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("expires", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("quiet", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("shadow", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("model", "epoch", "seq", name="orders_by_number"),
    )
    op.execute(f"INSERT INTO orders ({_COLUMNS}) SELECT {_COLUMNS} FROM orders_before")
    op.drop_table("orders_before")
