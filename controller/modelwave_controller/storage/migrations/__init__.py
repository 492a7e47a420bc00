"""The database's schema, revision by revision, as Alembic runs them (docs/operations.md).

For a new revision: a module in versions/ with its number, that number at the end of KNOWN in
migrate.py, and the same change in tables.py. tests/controller/test_migrations.py compares them.
"""
