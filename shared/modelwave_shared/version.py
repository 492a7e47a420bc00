"""Which modelwave this is: its version, and the commit that it was made from.

VERSION stands here and nowhere else; pyproject.toml reads it. COMMIT is empty in the
sources. A build writes it in (`stamped`): hatch_build.py into wheels and sdists, the
controller into the package for boards. A checkout asks git instead, as what was written at
its installation would be wrong after the next commit.
"""

VERSION = "0.1.0"
COMMIT = ""
GIT_SECONDS = 5  # a git that takes longer is not waited for

_described: "list[str]" = []  # the answer of `described`, once it was asked for


def described() -> str:
    """The version with the commit, such as "0.1.0+g1a2b3c4"; ".dirty" follows where the files
    are not as they were committed. Only the version where nobody knows the commit."""
    if not _described:
        found = commit()
        _described.append(VERSION + "+g" + found if found else VERSION)
    return _described[0]


def commit() -> str:
    """The commit that a build wrote in, or else the checkout's; "" if there is neither."""
    return COMMIT or _checked_out()


def stamped(source: str) -> str:
    """This module's source with the commit written in, for a build."""
    return source.replace('\nCOMMIT = ""\n', '\nCOMMIT = "%s"\n' % commit(), 1)


def _checked_out() -> str:
    """What git says of the folder that these sources are in. An installed package may lie
    inside somebody else's repository, so only a repository of exactly this folder counts."""
    try:
        import os.path
        import subprocess
    except ImportError:  # on a board
        return ""
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    command = ["git", "--git-dir", os.path.join(top, ".git"), "--work-tree", top, "describe"]
    command += ["--always", "--abbrev=7", "--exclude=*", "--dirty=.dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
