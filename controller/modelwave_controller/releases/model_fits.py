"""Finds out what a model needs that somebody sent, and whether it fits, in a process of its own
that may read the model and no other file of ours: as what runs the golden set of a release."""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelwave_controller.errors import OperatorError
from modelwave_controller.models.targets import Target
from modelwave_controller.releases.golden_programs import Allowed, result_of

PROGRAM = (sys.executable, "-P", "-m", "modelwave_controller.models.inspecting")


def fits(model: Path, name: str, targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Returns an entry for each target, as `model inspect --json` has it. Raises OperatorError,
    which calls the model `name`."""
    asked = {
        "model": str(model),
        "name": name,
        "targets": [one.model_dump(mode="json", by_alias=True) for one in targets],
    }
    with tempfile.NamedTemporaryFile("w", prefix="modelwave-") as file:
        file.write(json.dumps(asked))
        file.flush()
        read = [model, Path(file.name)]
        found = result_of([*PROGRAM, file.name], name, Allowed(read, [], []), lambda _: None)
    if "entries" not in found:
        raise OperatorError(found.get("problem") or f"{name}: its program said nothing of it")
    entries: list[dict[str, Any]] = found["entries"]
    return entries
