"""The migrations of the database's schema, which Alembic runs (docs/operations.md).

To add a revision: add a module in versions/ with its number, append the number to KNOWN in
migrate.py, and change tables.py in the same way. tests/controller/test_migrations.py compares them.
"""
