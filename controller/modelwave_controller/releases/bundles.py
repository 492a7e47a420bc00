"""Bundles: a bundle is a folder with a release, to copy from the machine with the release key to
the service's.

    manifest.json   the manifest's envelope
    <sha256>        each file that it names
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.trust import roots
from modelwave_controller.trust.documents import Manifest, view
from modelwave_shared.limits import MAX_ENVELOPE_BYTES
from modelwave_shared.words import MANIFEST


@dataclass(frozen=True)
class Signed:
    """A manifest whose signature was verified under the fleet's root. If it was only under an
    earlier one, `trouble` says why devices refuse it now."""

    document: dict[str, Any]  # the manifest as it was signed
    manifest: Manifest  # its typed view
    envelope: bytes
    digest: str  # sha256 of the payload, in hex; orders name it
    trouble: str = ""


def read_manifest(path: Path, root: dict[str, Any], what: str, named: Path | None = None) -> Signed:
    """Reads and verifies a manifest file; `named`: what errors call it, None: as it is. Raises
    OperatorError for the file `what`, TrustError."""
    data = disk.read_input(path, what, MAX_ENVELOPE_BYTES)
    document, digest = roots.open_signed(MANIFEST, data, root, str(named or path))
    return Signed(document, view(Manifest, document), data, digest)


def read_kept(path: Path, root: dict[str, Any], earlier: Sequence[dict[str, Any]]) -> Signed:
    """Reads a manifest that the home has kept. It may have been signed under an `earlier` root, by
    keys that the newest one does not name any more. Raises as `read_manifest`."""
    try:
        return read_manifest(path, root, str(path))
    except TrustError as error:
        for one in earlier:
            with contextlib.suppress(TrustError):
                found = read_manifest(path, one, str(path))
                return replace(found, trouble=str(error).removeprefix(f"{path}: "))
        raise


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Yields a temporary folder, which becomes `out` at the end of the block, unless it raises.
    Raises OperatorError if `out` exists."""
    if out.exists():
        raise OperatorError(f"--out: {out} exists already; name a new folder")
    disk.make_folder(out.parent)
    with disk.work_folder(out.parent, "sign") as folder:
        yield folder
        folder.chmod(0o755)
        folder.rename(out)
        disk.sync_folder(out.parent)
