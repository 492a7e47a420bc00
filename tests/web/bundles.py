"""Bundles of a world's release key."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

from modelwave_controller.trust import keys
from tests.controller.rollout_world import World, manifest

MODEL = bytes(4) + b"TFL3" + bytes(9)


def bundle(world: World, folder: Path, number: int = 7, model: bytes = MODEL, **more: Any) -> Path:
    """A new folder with a bundle."""
    folder.mkdir(parents=True)
    files = []
    for role, data in (("model", model), ("golden", b"golden")):
        digest = hashlib.sha256(data).hexdigest()
        (folder / digest).write_bytes(data)
        files.append({"role": role, "sha256": digest, "size": len(data)})
    payload = keys.canonical(manifest(number, files=files, **more))
    (folder / "manifest.json").write_bytes(keys.sign("manifest", payload, [world.release_key]))
    return folder


def tar(folder: Path, **how: Any) -> bytes:
    """The bundle as one file, as Python's tarfile makes it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", **how) as archive:
        archive.add(folder, ".")
    return made.getvalue()
