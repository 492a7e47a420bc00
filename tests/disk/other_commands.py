"""The scenes of commands that move files: backups, the files of a device, a golden set, and the
environment of an agent that updates itself."""

import contextlib
import io
import json
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy
from sqlalchemy import Connection

from modelwave_agent.host.golden import writing
from modelwave_agent.host.self_update import environments
from modelwave_controller import disk as files
from modelwave_controller.enrolment.lists import ToEnrol
from modelwave_controller.home import Home
from modelwave_controller.operations import backup, enrolling, restore
from modelwave_controller.releases import golden_making
from modelwave_controller.storage import enrolled
from modelwave_controller.storage.store import Store
from tests import signing
from tests.disk import mounted
from tests.disk.environment import installed, what_is_missing, wheelhouse
from tests.disk.home_files import RELEASE, ROOTS, prepare_home
from tests.disk.medium import ROOT
from tests.disk.writers import HOME, Writer

# A backup, and what it is put into.

BACKUP = Path(f"{ROOT}/srv/backup")
OLD_BACKUP = b"the backup of last week " * 40
APART = f"{ROOT}/srv/home/releases"


def _filled_home() -> None:
    prepare_home()
    folder = HOME / "releases" / "digits" / "2"
    files.make_folder(folder)
    files.create_file(folder / "linux-cpu.json", RELEASE.envelope)
    files.make_folder(HOME / "files")
    for sha256, data in RELEASE.files.items():
        files.create_file(HOME / "files" / sha256, data)


def _make_backup() -> None:
    backup.make(
        Home(HOME), BACKUP, signing.ISSUED, "1", lambda *_: None, database=False, force=True
    )


def _prepare_backup() -> None:
    _filled_home()
    files.create_file(BACKUP, OLD_BACKUP)


def _read_backup() -> str:
    data = BACKUP.read_bytes()
    if data == OLD_BACKUP:
        return "old"
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        held = {one.name: tar.extractfile(one).read() for one in tar}
    wanted = {f"files/{sha256}": data for sha256, data in RELEASE.files.items()}
    wanted |= {"root.json": ROOTS[0], "releases/digits/2/linux-cpu.json": RELEASE.envelope}
    return "new" if wanted.items() <= held.items() else f"the backup has {sorted(held)}"


def _prepare_restore() -> None:
    """There is a backup, and the home is lost."""
    _filled_home()
    _make_backup()
    shutil.rmtree(HOME)


def _prepare_restore_apart() -> None:
    _prepare_restore()
    files.make_folder(Path(APART))  # where the other disk is mounted


def _restore() -> None:
    restore.restore(HOME, BACKUP, signing.ISSUED, "", lambda *_: None)


def _read_restored() -> str:
    if not (HOME / "root.json").exists():
        return "old"
    wanted = {HOME / "files" / sha256: data for sha256, data in RELEASE.files.items()}
    wanted |= {HOME / "root.json": ROOTS[0]}
    wanted |= {HOME / "releases" / "digits" / "2" / "linux-cpu.json": RELEASE.envelope}
    for path, data in wanted.items():
        if not path.exists() or path.read_bytes() != data:
            return f"it is a home, and {path} is not whole"
    return "new" if Home(HOME).config.fleet == "demo" else "another home"


# The files of a device.

OUT = Path(f"{ROOT}/srv/devices")
ROWS = f"{ROOT}/srv/rows"  # what the database knows of devices
DEVICE = ToEnrol("pi-1", "linux-cpu", ("digits",), ())


class _Undone(Exception):
    """Takes back what was written to the real database."""


class Rows:
    """A database whose enrolments are in a file of the disk: a transaction replaces it as a whole,
    durably."""

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        with contextlib.suppress(_Undone), _store().write() as connection:
            enrolled.put(connection, _rows())
            yield connection
            data = json.dumps(enrolled.every(connection)).encode()
            mounted.NOW[-1].disk.commit(ROWS, data)
            raise _Undone

    read = write


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()  # goes with this process


@cache
def _store() -> Store:
    return Store(f"sqlite:///{_folder().name}/modelwave.db")


def _rows() -> list[enrolled.Enrolled]:
    return [enrolled.Enrolled(*row) for row in json.loads(Path(ROWS).read_bytes())]


def _prepare_enrolment() -> None:
    prepare_home()
    files.create_file(Path(ROWS), b"[]")


def _enrol() -> None:
    enrolling.enrol(
        Home(HOME), Rows(), enrolling.Wanted([DEVICE], OUT), signing.ISSUED, lambda *_: None
    )


def _read_enrolment() -> str:
    if not _rows():
        return "old"
    for name in ("agent.toml", "password", "report.key", "root.json"):
        path = OUT / DEVICE.device / name
        if not path.exists() or not path.read_bytes().strip(b"\0"):
            return f"the device is enrolled, and {path} is not whole"
    return "new"


# A golden set.

GOLDEN = Path(f"{ROOT}/srv/set.npz")
OLD_SET = b"the set that was there " * 40


def _prepare_golden() -> None:
    files.private_folder(HOME)
    files.create_file(HOME / "model", b"a model " * 200)
    files.create_file(GOLDEN, OLD_SET)


def _make_golden() -> None:
    def program(loaded: Any, words: list[str], *_: Any) -> dict[str, Any]:
        """What the agent's program does, which runs the model in a process of its own."""
        made = Path(words[words.index("--out") + 1])
        writing.write(made, {"image": numpy.arange(300, dtype="float32")}, {"v": 1})
        return {}

    loaded = golden_making.Loaded(HOME / "model", "tflite", {}, ())
    source = golden_making.Source(None, random=1)
    with mock.patch.object(golden_making, "_run", program):
        golden_making.make(loaded, source, False, GOLDEN, lambda _: None)


def _read_golden() -> str:
    data = GOLDEN.read_bytes()
    if data == OLD_SET:
        return "old"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return "new" if archive.testzip() is None else "the set is damaged"


# The environment of an agent.

WHEELHOUSE = Path(f"{ROOT}/srv/a.model")
ENVIRONMENT = Path(f"{ROOT}/srv/a.venv")


def _prepare_install() -> None:
    files.make_folder(WHEELHOUSE.parent)
    files.create_file(WHEELHOUSE, wheelhouse())


def _prepare_removal() -> None:
    _prepare_install()
    installed(WHEELHOUSE, ENVIRONMENT)


def _read_environment(whole: str, gone: str) -> str:
    """Of an environment that counts as complete nothing may be missing; it is the wheelhouse's if
    its marker says so, and else it would be made anew."""
    if not environments.is_complete(ENVIRONMENT):
        return gone
    missing = what_is_missing(ENVIRONMENT)
    if missing:
        return f"it counts as complete without {missing[0]}"
    marker = (ENVIRONMENT / environments.COMPLETE).read_text()
    return whole if marker == signing.sha(wheelhouse()) else gone


OTHER_COMMANDS = (
    Writer("backup", _prepare_backup, _make_backup, _read_backup),
    Writer("restore", _prepare_restore, _restore, _read_restored),
    Writer("restore apart", _prepare_restore_apart, _restore, _read_restored, apart=(APART,)),
    Writer("device enrol", _prepare_enrolment, _enrol, _read_enrolment, may_refuse=True),
    Writer("golden make", _prepare_golden, _make_golden, _read_golden),
    Writer(
        "agent install",
        _prepare_install,
        lambda: installed(WHEELHOUSE, ENVIRONMENT),
        lambda: _read_environment("new", "old"),
    ),
    Writer(
        "agent removal",
        _prepare_removal,
        lambda: environments.remove(ENVIRONMENT),
        lambda: _read_environment("old", "new"),
    ),
)
