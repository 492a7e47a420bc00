"""Adds the windows of devices, and the hours and days that older ones are put together to."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "windows",
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
        "window_spans",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("span", sa.Integer, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("release", sa.BigInteger, primary_key=True),
        *_measured(),
        sqlite_with_rowid=False,
    )


def _measured() -> list[sa.Column[Any]]:
    counts = ("seconds", "inferences", "failures", "labelled", "correct", "latency_count")
    return [
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counts),
        sa.Column("latency_log", sa.Float(53), nullable=False),
        sa.Column("measures", sa.Text, nullable=False),
    ]
