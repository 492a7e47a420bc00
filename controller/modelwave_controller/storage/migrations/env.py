"""Alembic runs this file: it uses the connection and the transaction that migrate.py opened."""

from alembic import context

from modelwave_controller.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
