"""Finds the commit that the program runs from, for hosts and for builds. It needs git and
CPython, so no board imports it.

A build writes the commit into version.py: hatch_build.py for wheels and sdists, the controller
for the package for boards. In a checkout the program asks git when it starts, as a commit that
was written at installation would be wrong after the next commit.
"""

import functools
import re
import subprocess
from pathlib import Path

from modelwave_shared import version

GIT_SECONDS = 5  # timeout for git
_OID = re.compile("^# branch[.]oid ([0-9a-f]{7})", re.MULTILINE)


def described() -> str:
    """Returns the version with the commit, such as "1.0.0+g1a2b3c4", and ".dirty" if files have
    changed since; only the version if the commit is not known."""
    return version.described(commit())


def stamped(source: str) -> str:
    """Returns the source of version.py with the commit written in, for a build."""
    return source.replace('\nCOMMIT = ""\n', f'\nCOMMIT = "{commit()}"\n', 1)


@functools.cache
def commit() -> str:
    """Returns the commit that a build wrote in, else the one that git reports for the folder of
    these sources, else "". An installed package may lie inside another project's repository, so
    only a repository whose top is exactly this folder counts."""
    if version.COMMIT:
        return version.COMMIT
    top = Path(__file__).resolve().parents[2]
    # Unlike `git describe --dirty`, it takes no lock, which a process that is killed would leave.
    command = ["git", "--no-optional-locks", "--git-dir", str(top / ".git")]
    command += ["--work-tree", str(top), "status", "--porcelain=v2", "--branch"]
    command += ["--untracked-files=no"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return ""
    oid = _OID.search(done.stdout)
    if done.returncode or not oid:
        return ""
    is_changed = any(not line.startswith("#") for line in done.stdout.splitlines())
    return oid[1] + (".dirty" if is_changed else "")
