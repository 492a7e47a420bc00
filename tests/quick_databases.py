"""Makes the many databases of tests quickly, and works with them quickly.

The migrations run once in a process, and what they executed is executed again for each further new
database: its tables come out the same, in a fifth of the time (controller/test_migrations.py
compares, and tests the migrations themselves). A statement is compiled once for all databases of a
kind, where SQLAlchemy does it once for each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL

from modelwave_controller.storage import migrate, store

run_scripts = migrate._upgrade  # as the product does it

_new_engine = store._engine
_executed: dict[str, list[tuple[str, Any]]] = {}  # by the kind of database


@contextmanager
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(migrate, "_upgrade", _upgrade)
        patched.setattr(store, "_engine", _engine)
        yield


class _Compiled(dict[Any, Any]):
    """Statements of all engines. The first part of a key is the dialect, which each engine has of
    its own: its name is taken for it."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__((key[0].name, *key[1:]), value)


_compiled = _Compiled()


def _engine(url: URL) -> Engine:
    made = _new_engine(url)
    made.update_execution_options(compiled_cache=_compiled)
    return made


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
