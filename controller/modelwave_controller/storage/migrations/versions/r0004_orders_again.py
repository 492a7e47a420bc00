"""Adds what the service needs to send orders again: each order's message and times, the floors of
sequence numbers, the devices that report an older order than theirs, and the order in which
devices were heard.

The messages of the orders on retained topics are found there.
"""

import base64
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ORDERS = sa.table(
    "orders", *(sa.column(name) for name in ("model", "seq", "message", "issued", "expires"))
)
BLOBS = sa.table("blobs", sa.column("sha256"), sa.column("data"))
OUTBOX = sa.table("outbox", sa.column("topic"), sa.column("blob"))


def upgrade() -> None:
    op.add_column("orders", sa.Column("message", sa.Text, nullable=False, server_default=""))
    op.add_column("orders", sa.Column("device", sa.Text, nullable=False, server_default=""))
    op.add_column("orders", sa.Column("issued", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("orders", sa.Column("expires", sa.BigInteger, nullable=False, server_default="0"))
    quiet = sa.Column("quiet", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("orders", quiet)
    op.create_table(
        "floors",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "repairs",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("since", sa.Float(53), nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("due", sa.Float(53), nullable=False),
    )
    op.add_column("devices", sa.Column("heard", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("devices_by_heard", "devices", ["heard", "device"])
    op.add_column("device_models", sa.Column("proved", sa.Text, nullable=False, server_default=""))
    op.execute("UPDATE device_models SET proved = sha256 WHERE outcome = 'SUCCEEDED'")
    op.execute("INSERT INTO heads (name, value) VALUES ('heard', 0)")
    _find_messages()


def _find_messages() -> None:
    connection = op.get_bind()
    held = sa.select(OUTBOX.c.blob).where(OUTBOX.c.topic.contains("/desired/")).distinct()
    query = sa.select(BLOBS.c.sha256, BLOBS.c.data).where(BLOBS.c.sha256.in_(held))
    for digest, data in connection.execute(query).all():
        order = _order(bytes(data))
        connection.execute(
            sa.update(ORDERS)
            .where(ORDERS.c.model == order["model"])
            .where(ORDERS.c.seq == order["seq"])
            .values(message=digest, issued=order["issued"], expires=order["expires"])
        )


def _order(message: bytes) -> dict[str, Any]:
    """Returns the order in a message of this program, which signed it."""
    envelope = json.loads(message.split(b"\n")[0])
    order: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return order
