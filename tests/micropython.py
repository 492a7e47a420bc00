"""The MicroPython that tests run on: the one on PATH, else the one scripts/get-micropython
unpacks into .micropython/ in this repository, where it stays."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".micropython"
HEAP = "512k"  # a limit, so that needless memory is noticed; the tests' own code is in it
FETCH_SECONDS = 150
RUN_SECONDS = 900  # the tests of the core take one minute of a quiet machine
NEW_ENOUGH = "import sys; sys.exit(sys.implementation.version[:2] < (1, 25))"


def run(cwd, *arguments, heap=HEAP):
    """Runs MicroPython with these arguments in the folder `cwd`; returns the finished process.
    Skips the test if there is no MicroPython, but fails it if CI is set."""
    line = command(*arguments, heap=heap)
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, timeout=RUN_SECONDS)


def start(cwd, *arguments, heap=HEAP):
    """Starts MicroPython in the same way; returns a Popen. The test reads its output and ends
    it."""
    line, pipe = command(*arguments, heap=heap), subprocess.PIPE
    return subprocess.Popen(line, cwd=cwd, stdout=pipe, stderr=pipe, text=True)


def command(*arguments, heap=HEAP):
    """Returns the command of MicroPython, for tests that start it in another way."""
    return [_path_or_skip(), "-X", f"heapsize={heap}", *map(str, arguments)]


def _path_or_skip():
    path, problem = _found()
    if path:
        return path
    problem = "no MicroPython 1.25, so nothing was tested on one: " + problem
    if os.environ.get("CI"):
        pytest.fail(problem)
    pytest.skip(problem)


@functools.cache
def _found():
    """Returns (path, "") or ("", why there is none); it searches only once."""
    installed = shutil.which("micropython")
    if installed and _is_new_enough(installed):
        return installed, ""
    script = ROOT / "scripts" / "get-micropython"
    # timeout(1) ends what the script has started as well, and lets it tidy up.
    command = ["timeout", str(FETCH_SECONDS), script, FOLDER]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return "", f"{script.name} ended with {done.returncode}: {done.stderr.strip()}"
    return str(FOLDER / "micropython"), ""


def _is_new_enough(path):
    return subprocess.run([path, "-c", NEW_ENOUGH], capture_output=True).returncode == 0
