"""Tests that looking for keys in a home leaves the database that is open there its locks."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from modelwave_controller.storage.store import Store
from modelwave_controller.trust import custody

OTHER = """
import sqlite3, sys
opened = sqlite3.connect(sys.argv[1])
opened.execute("SELECT count(*) FROM heads").fetchall()
opened.close()
"""


def test_looking_for_keys_leaves_the_database_its_locks(tmp_path: Path) -> None:
    """Else the next process that closes the database takes itself for the last one."""
    file = tmp_path / "fleet.sqlite"
    with closing(Store(f"sqlite:///{file}")) as store:
        with store.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM heads").scalar()
        assert custody.offline_keys(tmp_path, None) == []
        subprocess.run([sys.executable, "-c", OTHER, str(file)], check=True)
        assert Path(f"{file}-wal").exists()
