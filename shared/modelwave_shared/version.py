"""The version of modelwave, and the commit that it was built from.

VERSION is defined only here; pyproject.toml reads it. COMMIT is empty in the sources; a build
writes it in (checkout.py).
"""

VERSION = "1.0.0"
COMMIT = ""


def described(commit: str = COMMIT) -> str:
    """Returns the version with the commit, such as "1.0.0+g1a2b3c4"; without one if it is ""."""
    return VERSION + "+g" + commit if commit else VERSION
