"""A PostgreSQL of our own for the tests: in a temporary folder, on a local socket only."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.tools import POSTGRESQL_MISSING

_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if os.name == "posix" else []
_PATH = os.pathsep.join([os.environ.get("PATH", ""), *map(str, _FOLDERS)])
INITDB, PG_CTL = (shutil.which(name, path=_PATH) for name in ("initdb", "pg_ctl"))
needs_postgres = pytest.mark.skipif(not (INITDB and PG_CTL), reason=POSTGRESQL_MISSING)


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a new, empty database."""
    assert INITDB
    assert PG_CTL
    folder = Path(tempfile.mkdtemp(prefix="modelwave-pg-"))
    user = _unprivileged()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    _run(user, INITDB, "-D", folder / "data", "-U", "modelwave", "--auth=trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
    _run(user, PG_CTL, "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
    try:
        yield f"postgresql+psycopg://modelwave@/postgres?host={folder}"
    finally:
        _run(user, PG_CTL, "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _unprivileged() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; None: we are someone else already."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _run(user: pwd.struct_passwd | None, *command: object) -> None:
    who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    words = [str(word) for word in command]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd="/", **who)  # type: ignore[call-overload]
