"""The database's schema, revision by revision, as Alembic runs them (docs/operations.md)."""
