"""The environment of an agent on the disk: the real code installs a wheelhouse, without a real
Python."""

import io
import tarfile
import venv
import zipfile
from functools import cache
from pathlib import Path
from unittest import mock

from modelwave_agent.host.self_update import install

MODULES = {f"agent/{name}.py": f"# {name}\n".encode() * 90 for name in ("one", "two")}
MARK = "agent/mark"


class FakeBuilder:
    """Makes the parts of a virtual environment that is_complete looks for."""

    def __init__(self, symlinks: bool) -> None:
        pass

    def create(self, folder: Path) -> None:
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").write_bytes(b"a link to Python")
        (folder / "pyvenv.cfg").write_bytes(b"version = 3\n")


@cache
def wheelhouse(mark: bytes = b"") -> bytes:
    """A wheelhouse with one wheel, which has MODULES and `mark`."""
    wheel, made = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**MODULES, MARK: mark}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    entry = tarfile.TarInfo("agent-1-py3-none-any.whl")
    entry.size = len(wheel.getvalue())
    with tarfile.open(fileobj=made, mode="w:") as tar:
        tar.addfile(entry, io.BytesIO(wheel.getvalue()))
        end = tar.offset
    return made.getvalue()[: end + 2 * tarfile.BLOCKSIZE]  # without the padding of a tape


def installed(file: Path, folder: Path) -> None:
    with mock.patch.object(venv, "EnvBuilder", FakeBuilder):
        install.install(file, folder)


@cache
def site_of(folder: Path) -> Path:
    return install.site_of(folder)  # which takes long


def what_is_missing(folder: Path) -> list[str]:
    """Returns the files that a whole environment has, and this one does not."""
    site = site_of(folder)
    wanted = {site / name: data for name, data in MODULES.items()}
    return [str(at) for at, data in wanted.items() if not at.exists() or at.read_bytes() != data]
