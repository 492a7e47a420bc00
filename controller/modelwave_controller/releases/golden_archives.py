"""The .npz golden sets of hosts, as the controller knows them: what one says of itself, read by the
agent's program, as numpy is no dependency of the controller."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwave_controller.errors import OperatorError
from modelwave_controller.models.targets import Target
from modelwave_controller.releases.confinement import confined
from modelwave_controller.trust.field_types import require
from modelwave_shared import golden, manifests

GOLDEN_COMMAND = (sys.executable, "-m", "modelwave_agent.host.golden")
ZIP_MAGIC = b"PK"
_DESCRIPTION = "golden.json"
_SHOW_SECONDS = 60


@dataclass(frozen=True)
class Described:
    """What an .npz says of itself; {} for what it does not say."""

    tolerance: dict[str, Any] = field(default_factory=dict)
    loading: dict[str, Any] = field(default_factory=dict)
    is_random: bool = False  # its inputs are random numbers


def is_archive(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(ZIP_MAGIC)) == ZIP_MAGIC


def described(path: Path, source: Path, target: Target) -> Described:
    """Returns what the copy `path` of the file `source` says of itself. Raises OperatorError if it
    is no golden set, or none for this target."""
    if target.kind != "host":
        raise OperatorError(
            f"--golden: {source} is an .npz, and {target.name} is a board, which reads the binary "
            "form alone; make it with `modelwave golden make --board`"
        )
    return _described(shown(path, source, "--golden"), f"--golden: {source}")


def read_description(path: Path, what: str) -> Described:
    """Returns what a golden set of either form says of itself. Raises OperatorError, which names
    `what`."""
    return _described(shown(path, path, what), f"{what}: {path}")


def _described(values: Any, where: str) -> Described:
    said = values[_DESCRIPTION]
    found = Described(
        said.get("tolerance", {}), said.get("loading", {}), said.get("inputs") == "random"
    )
    if found.tolerance:
        require(manifests.tolerance, found.tolerance, f"{where}: tolerance")
    if found.loading:
        require(manifests.loading, found.loading, f"{where}: loading")
    return found


def shown(path: Path, source: Path, what: str) -> Any:
    """Returns what the agent's program says of the copy `path` of the file `source`. Raises
    OperatorError, which names the option `what`."""
    try:
        with confined([*GOLDEN_COMMAND, "show", str(path)], [path]) as (command, env):
            done = subprocess.run(
                command,
                capture_output=True,
                timeout=_SHOW_SECONDS,
                stdin=subprocess.DEVNULL,
                env=env,
            )
    except subprocess.TimeoutExpired as error:
        raise OperatorError(f"{what}: {source} was not read in {_SHOW_SECONDS} s") from error
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode:
        why = lines[-1] if lines else f"its reader ended with code {done.returncode}"
        raise OperatorError(f"{what}: {source}: {why}")
    return json.loads(done.stdout.splitlines()[-1])


def check_binary(head: bytes, size: int, source: Path, tolerance: dict[str, Any] | None) -> None:
    """Raises OperatorError unless a file of the binary form is whole, and has its tolerance."""
    try:
        header = golden.Header(head)
    except golden.GoldenError as error:
        raise OperatorError(f"--golden: {source}: {error}") from error
    if size != header.file_bytes:
        raise OperatorError(
            f"--golden: {source} has {size} bytes, its header says {header.file_bytes}"
        )
    kind, option = {"l": ("labels", "--least-correct"), "o": ("outputs", "--steps")}[header.kind]
    if tolerance is None or tolerance["kind"] != kind:
        raise OperatorError(f"--golden: {source} holds {kind}: give {option} for its tolerance")
