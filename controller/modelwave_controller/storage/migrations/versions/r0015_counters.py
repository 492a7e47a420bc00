"""Adds the counters, which are filled when the database is opened (storage/recounting.py), and
indexes of what the service looks for all the time."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "reporting",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("reads", sa.Text, primary_key=True),
        sa.Column("devices", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "wave_orders",
        sa.Column("rollout", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wave", sa.Integer, nullable=False),
        sa.Column("opens", sa.Boolean, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("slots", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
    )
    op.create_index("wave_orders_by_wave", "wave_orders", ["rollout", "wave"])
    op.create_table(
        "answered",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("rollout", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("wave", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("later", sa.Text, nullable=False),
        sa.Column("inside", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    _partial_index("answered_outside", "answered", ["rollout", "wave"], "inside = 0")
    op.create_table(
        "answer_counts",
        sa.Column("rollout", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("wave", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("outcome", sa.Text, primary_key=True),
        sa.Column("later", sa.Text, primary_key=True),
        sa.Column("inside", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("devices", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unread_answers",
        sa.Column("event", sa.BigInteger, primary_key=True, autoincrement=False),
    )
    _partial_index("events_but_answers", "events", ["id"], "kind <> 'reported'")
    _partial_index("outbox_unsent", "outbox", ["topic"], "acked < version")
    op.execute("INSERT INTO heads (name, value) VALUES ('counted', -1), ('counters', 0)")


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )
