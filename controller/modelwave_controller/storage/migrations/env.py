"""Run by Alembic: takes the connection, and its transaction, that migrate.py opened."""

from alembic import context

from modelwave_controller.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
