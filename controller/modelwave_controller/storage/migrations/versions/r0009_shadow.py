"""Adds orders to run a release beside the live one, and the windows that devices measure of it."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    shadow = sa.Column("shadow", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("orders", shadow)
    op.create_table(
        "shadow_windows",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("install", sa.Text, primary_key=True),
        sa.Column("boot", sa.BigInteger, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("release", sa.BigInteger, primary_key=True),
        sa.Column("documents", sa.Text, nullable=False),
        sa.Column("ended", sa.Float(53), nullable=False),
        sa.Column("heard", sa.BigInteger, nullable=False),
        *_measured(),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "shadow_spans",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("span", sa.Integer, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("release", sa.BigInteger, primary_key=True),
        *_measured(),
        sqlite_with_rowid=False,
    )
    counts = ("inferences", "failures", "labelled", "correct", "compared", "agreed")
    op.create_table(
        "shadow_metrics",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("release", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("boot", "n", *counts)),
        sa.Column("install", sa.Text, nullable=False, server_default=""),
        sa.Column("installs", sa.Text, nullable=False, server_default=""),
    )


def _measured() -> list[sa.Column[Any]]:
    counts = ("seconds", "inferences", "failures", "labelled", "correct", "latency_count")
    return [
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counts),
        sa.Column("latency_log", sa.Float(53), nullable=False),
        sa.Column("measures", sa.Text, nullable=False),
    ]
