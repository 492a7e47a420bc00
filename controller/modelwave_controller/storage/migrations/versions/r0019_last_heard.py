"""Reports that repeat what is stored change a narrow table alone."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "last_heard",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("boot", sa.BigInteger, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("clock", sa.BigInteger, nullable=False),
        sa.Column("free_flash", sa.BigInteger, nullable=False),
        sa.Column("free_ram", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO heads (name, value) VALUES ('members', 0)")
