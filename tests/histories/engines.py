"""Lets all databases of a process share the statements that SQLAlchemy has compiled. Each history
opens some, and would compile them all again: a third of its time."""

from unittest import mock

from sqlalchemy import Engine

from modelwave_controller.storage import store


def shared() -> "mock._patch[object]":
    """Inside, every engine has the dialect, and the cache, of the first one."""
    make, first = store._engine, list[Engine]()

    def made(*given: object) -> Engine:
        engine = make(*given)  # type: ignore[arg-type]
        first.append(engine)
        engine.dialect = first[0].dialect
        engine._compiled_cache = first[0]._compiled_cache
        del first[1:]
        return engine

    return mock.patch.object(store, "_engine", made)
