"""A connection that SQLite has opened read-only, as the disk had a bad moment, is not kept."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from modelwave_controller.errors import StorageError
from modelwave_controller.storage.store import Store


def test_a_service_writes_again_after_one_read_only_connection(tmp_path: Path) -> None:
    file = tmp_path / "modelwave.db"
    with closing(Store(f"sqlite:///{file}")) as store:
        store._engine.dispose()
        opened: list[Any] = []

        def connect(*_: object) -> sqlite3.Connection | None:
            """The first connection alone is read-only."""
            opened.append(None)
            uri = f"{file.as_uri()}?mode=ro"
            alone = sqlite3.connect(uri, uri=True, check_same_thread=False)
            return alone if len(opened) == 1 else None

        def write() -> None:
            with store.write() as connection:
                connection.exec_driver_sql("CREATE TABLE written (number INTEGER)")

        event.listen(store._engine, "do_connect", connect)
        with pytest.raises(StorageError, match="readonly database; this user must be allowed"):
            write()
        write()
        assert len(opened) == 2
