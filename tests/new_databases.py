"""Makes the many new databases of tests quickly. The migrations run once in a process, and what
they executed is executed again for each further new database: its tables come out the same, in a
fifth of the time (controller/test_migrations.py compares, and tests the migrations themselves)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event

from modelwave_controller.storage import migrate

run_scripts = migrate._upgrade  # as the product does it

_executed: dict[str, list[tuple[str, Any]]] = {}  # by the kind of database


@contextmanager
def made_quickly() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(migrate, "_upgrade", _upgrade)
        yield


def _upgrade(connection: Connection, before: str | None) -> None:
    kind = connection.dialect.name
    if before is not None:
        run_scripts(connection, before)
    elif kind not in _executed:
        _executed[kind] = _recorded(connection)
    else:
        for statement, parameters in _executed[kind]:
            connection.exec_driver_sql(statement, parameters).close()


def _recorded(connection: Connection) -> list[tuple[str, Any]]:
    """Runs the scripts; returns the statements with their parameters."""
    found: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        found.append((statement, parameters if many or parameters else None))

    event.listen(connection, "before_cursor_execute", note)
    try:
        run_scripts(connection, None)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    return found
