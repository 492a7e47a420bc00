"""Runs the agent's programs that load a model without secrets, network, and sight of the operator's
files: a model may be hostile, and its runtime may have faults.

The agent's confined.py takes these away. The environment has a few variables by name, and a folder
of its own for temporary files. This process, which will hold a passphrase and a key, cannot be read
by others of the same user.
"""

import contextlib
import ctypes
import errno
import functools
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from modelwave_controller.errors import OperatorError

PACKAGES = ("modelwave_agent", "modelwave_shared")
# What runtimes and Python read, and what cannot hold a secret of ours.
_KEPT = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
_KEPT_BEGINNINGS = ("LC_", "CUDA_", "NVIDIA_", "OMP_", "OPENBLAS_", "MKL_", "TF_", "ORT_")
_MODULES = ("*.py", "*.so", "*.pth", "*.dist-info", "*.egg-info", "*.zip")
_SITES = ("site-packages", "dist-packages")
_PR_SET_DUMPABLE = 4


def guard() -> None:
    """Makes this process, which will hold a key, leave no core file and be unreadable for others of
    the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@contextlib.contextmanager
def confined(
    command: Sequence[str],
    read: Sequence[Path],
    write: Sequence[Path] = (),
    pythons: Sequence[str] = (),
) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yields the command that runs `command`, a Python with its arguments, and its environment. It
    may read and write the given paths only; `pythons` are others that it starts. Another Python
    than this one imports our packages, and nothing else of this one's. Raises OSError if there is
    no such program."""
    python = shutil.which(command[0])
    if python is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    with tempfile.TemporaryDirectory(prefix="modelwave-") as folder:
        env = {**_clean_environment(), "TMPDIR": folder, "HOME": folder}
        if command[0] != sys.executable:
            env |= {"PYTHONPATH": str(_lend(Path(folder))), "PYTHONDONTWRITEBYTECODE": "1"}
        seen = [*read, *_modules(), *map(_package, PACKAGES)]
        allowed = {
            "read": [str(path.absolute()) for path in seen],
            "write": [folder, *(str(path.absolute()) for path in write)],
            "list": [str(path) for path in _import_folders()],
            "pythons": list(pythons),
        }
        yield [*_confine(), json.dumps(allowed), python, *command[1:]], env


def words() -> str:
    """Says what the models that were run here could not do, for people."""
    can = possible()
    if can["files"] and can["network"]:
        return "the model ran without network and without sight of your files"
    if not any(can.values()):
        return (
            "the model ran with network and sight of your files: this kernel has neither Landlock"
            " nor seccomp; run models of others on a machine of its own"
        )
    missing = "sight of your files" if can["network"] else "network"
    part = "Landlock" if can["network"] else "seccomp"
    return (
        f"the model ran with {missing}: this kernel has no {part}; run models of others on a"
        " machine of its own"
    )


@functools.cache
def possible() -> dict[str, bool]:
    """Returns {"files": whether its files are taken away, "network"}. Raises OperatorError."""
    done = subprocess.run([*_confine(), "what"], capture_output=True, stdin=subprocess.DEVNULL)
    try:
        return {name: bool(value) for name, value in json.loads(done.stdout).items()}
    except ValueError as error:
        raise OperatorError("this Python cannot run confined programs") from error


def _confine() -> list[str]:
    return [sys.executable, "-I", "-S", str(_package(PACKAGES[0]) / "host" / "confined.py")]


def _clean_environment() -> dict[str, str]:
    found = os.environ.items()
    return {k: v for k, v in found if k in _KEPT or k.startswith(_KEPT_BEGINNINGS)}


@functools.cache
def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise OperatorError(f"{name} is not installed with the controller")
    return Path(found.submodule_search_locations[0]).resolve()


def _lend(folder: Path) -> Path:
    lent = folder / "packages"
    lent.mkdir()
    for name in PACKAGES:
        (lent / name).symlink_to(_package(name))
    return lent


def _import_folders() -> list[Path]:
    """Returns the folders from which this Python imports; not the first, which is where the program
    is, or the current one."""
    return [Path(entry).resolve() for entry in sys.path[1:] if entry and Path(entry).exists()]


def _modules() -> Iterator[Path]:
    """Yields the packages and modules in these folders: not all that is in them, as with PYTHONPATH
    one may be anybody's."""
    for folder in _import_folders():
        if folder.name in _SITES or folder.is_file():
            yield folder
            continue
        yield from (init.parent for init in folder.glob("*/__init__.py"))
        for pattern in _MODULES:
            yield from folder.glob(pattern)
