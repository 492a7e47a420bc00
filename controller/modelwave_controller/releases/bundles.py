"""Bundles: a bundle is a folder with a release, to copy from the machine with the release key to
the service's.

    manifest.json   the manifest's envelope
    <sha256>        each file that it names
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.trust import roots
from modelwave_controller.trust.documents import Manifest, view
from modelwave_shared.limits import MAX_ENVELOPE_BYTES
from modelwave_shared.words import MANIFEST

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class Signed:
    """A manifest whose signature was verified under the fleet's root."""

    document: dict[str, Any]  # the manifest as it was signed
    manifest: Manifest  # its typed view
    envelope: bytes
    digest: str  # sha256 of the payload, in hex; orders name it


def read_manifest(path: Path, root: dict[str, Any], what: str) -> Signed:
    """Reads and verifies a manifest file. Raises OperatorError for the file `what`, TrustError."""
    data = disk.read_input(path, what, MAX_ENVELOPE_BYTES)
    document, digest = roots.open_signed(MANIFEST, data, root, str(path))
    return Signed(document, view(Manifest, document), data, digest)


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Yields a temporary folder, which becomes `out` at the end of the block, unless it raises.
    Raises OperatorError if `out` exists."""
    if out.exists():
        raise OperatorError(f"--out: {out} exists already; name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with disk.work_folder(out.parent, "sign") as folder:
        yield folder
        folder.chmod(0o755)
        folder.rename(out)
        disk.sync_folder(out.parent)
