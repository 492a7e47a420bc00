"""The commit that this runs from, for hosts and for builds: what needs git and CPython, and
which therefore no board imports.

A build writes the commit into version.py: hatch_build.py into wheels and sdists, the
controller into the package for boards. A checkout asks git when a program starts, as what was
written at its installation would be wrong after the next commit.
"""

import functools
import subprocess
from pathlib import Path

from modelwave_shared import version

GIT_SECONDS = 5  # a git that takes longer is not waited for


def described() -> str:
    """The version with the commit, such as "0.1.0+g1a2b3c4"; ".dirty" follows where the files
    are not as they were committed. Only the version where nobody knows the commit."""
    return version.described(commit())


def stamped(source: str) -> str:
    """The source of version.py with the commit written in, for a build."""
    return source.replace('\nCOMMIT = ""\n', f'\nCOMMIT = "{commit()}"\n', 1)


@functools.cache
def commit() -> str:
    """The commit that a build wrote in, or else what git says of the folder that these sources
    are in; "" if there is neither. An installed package may lie inside somebody else's
    repository, so only a repository of exactly this folder counts."""
    if version.COMMIT:
        return version.COMMIT
    top = Path(__file__).resolve().parents[2]
    command = ["git", "--git-dir", str(top / ".git"), "--work-tree", str(top), "describe"]
    command += ["--always", "--abbrev=7", "--exclude=*", "--dirty=.dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
