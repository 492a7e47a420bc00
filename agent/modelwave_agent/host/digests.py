"""The digest of a file on a host."""

import hashlib
from pathlib import Path


def sha256_of(path: str | Path) -> str:
    """Returns the file's sha256 in hex. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
