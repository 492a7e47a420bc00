"""Creates the tables as they were before migrations existed.

A database without Alembic's own table has them already if the row "schema" of `heads` is 1.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    heads = op.create_table(
        "heads",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(
        heads,
        [
            {"name": "schema", "value": 1},
            {"name": "event", "value": 0},
            {"name": "ticked", "value": 0},
        ],
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("rollout", sa.Integer, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("events_by_kind", "events", ["kind", "rollout"])
    _orders_and_what_is_published()
    _what_devices_say()


def _orders_and_what_is_published() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "orders",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("rollout", sa.Integer, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
        sa.Column("slots", sa.Text, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("blob", sa.Text, sa.ForeignKey("blobs.sha256")),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("acked", sa.BigInteger, nullable=False),
    )


def _what_devices_say() -> None:
    op.create_table(
        "devices",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("slot", sa.Integer, nullable=False),
        sa.Column("boot", sa.BigInteger, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.Float(53), nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("free_flash", sa.BigInteger, nullable=False),
        sa.Column("free_ram", sa.BigInteger, nullable=False),
        sa.Column("runtime", sa.Text, nullable=False),
        sa.Column("runtime_version", sa.Text, nullable=False),
        sa.Column("accelerator", sa.Text, nullable=False),
        sa.Column("refused", sa.Text, nullable=False),
        sa.Column("stale", sa.BigInteger, nullable=False),
    )
    op.create_index("devices_by_slot", "devices", ["target", "slot"])
    op.create_table(
        "device_models",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("release", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "presence",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("online", sa.Boolean, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "bad_messages",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "metrics",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("release", sa.BigInteger, primary_key=True),
        sa.Column("boot", sa.BigInteger, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("inferences", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("labelled", sa.BigInteger, nullable=False),
        sa.Column("correct", sa.BigInteger, nullable=False),
    )
