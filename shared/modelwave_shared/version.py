"""Which modelwave this is: its version, and the commit that it was made from.

VERSION stands here and nowhere else; pyproject.toml reads it. COMMIT is empty in the sources
and written in by whatever builds something of them (checkout.py).
"""

VERSION = "0.1.0"
COMMIT = ""


def described(commit: str = COMMIT) -> str:
    """The version with the commit, such as "0.1.0+g1a2b3c4", or alone where there is none."""
    return VERSION + "+g" + commit if commit else VERSION
