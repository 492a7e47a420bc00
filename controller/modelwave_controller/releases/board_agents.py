"""Makes the manifest of a release of the agent for boards, from the folder that `modelwave board
build` has written. Its golden set is one line: what the new agent says that it is. Boards prove it
on trial: nothing of it runs here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwave_controller import disk
from modelwave_controller.boards import archive, package
from modelwave_controller.errors import OperatorError
from modelwave_controller.models.needs import ModelNeeds
from modelwave_controller.models.targets import Target
from modelwave_controller.releases import manifests
from modelwave_controller.releases.agent_releases import wanted
from modelwave_controller.releases.agent_version import version_in
from modelwave_controller.releases.golden_sets import Proof
from modelwave_shared import digests
from modelwave_shared.agent_releases import BOARD_PACKAGE, golden_line

PROOF = Proof(True, "not run here: the first boards prove it, on trial")
BANKS = 2  # the new agent comes beside the one that runs
_VERSION_FILE = "source/modelwave_shared/version.py"


@dataclass(frozen=True)
class BoardAgent:
    """`data`: the file of the release. `version`: what the agent in it will say that it is.
    `runtime`: what its modules need of a board's firmware."""

    data: bytes
    version: str
    runtime: str


def read(folder: Path) -> BoardAgent:
    """Packs the built package in `folder`. Raises OperatorError."""
    files = package.read(folder)
    modules = package.modules_of(files)
    version = version_in(files.get(_VERSION_FILE, b"").decode(errors="replace"))
    if not version:
        raise OperatorError(f"--package: {folder}: {_VERSION_FILE} names no VERSION")
    formats = {data[1] if data[:1] == b"M" and len(data) > 1 else 0 for data in modules.values()}
    if len(formats) != 1 or 0 in formats:
        raise OperatorError(f"--package: {folder}: not all of its modules are .mpy of one format")
    return BoardAgent(archive.pack(modules), version, f"mpy{formats.pop()}")


def draft(
    fleet: str, release: int, version: str, target: Target, agent: BoardAgent, folder: Path
) -> dict[str, Any]:
    """Writes the files of the release into `folder`, and returns its manifest. Raises
    OperatorError, also if the target has no flash for two agents."""
    files = [
        _kept(role, data, folder)
        for role, data in (("model", agent.data), ("golden", golden_line(agent.version)))
    ]
    size, free = sum(file["size"] for file in files), target.free_flash_bytes
    if free is not None and BANKS * size > free:
        raise OperatorError(
            f"--target: {target.name} has {free} bytes of flash beside its firmware; {BANKS} agents"
            f" take {BANKS * size}"
        )
    asked = wanted(fleet, release, version, target, BOARD_PACKAGE)
    return manifests.draft(asked, files, ModelNeeds(0, (), agent.runtime, "", ""), "")


def _kept(role: str, data: bytes, folder: Path) -> dict[str, Any]:
    sha256 = digests.hexdigest(data)
    disk.create_file(folder / sha256, data)
    return {"role": role, "sha256": sha256, "size": len(data)}
