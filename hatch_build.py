"""Hatchling runs this when it builds a wheel or an sdist: it writes the commit into
modelwave_shared/version.py, in the built file only. An editable install runs the sources
themselves, so nothing is written for it; they ask git."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = "modelwave_shared/version.py"
SOURCE = f"shared/{MODULE}"


class Commit(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root, "shared")))
        from modelwave_shared import checkout

        self._folder = tempfile.TemporaryDirectory()
        stamped = Path(self._folder.name, "version.py")
        stamped.write_text(checkout.stamped(Path(self.root, SOURCE).read_text()))
        place = MODULE if self.target_name == "wheel" else SOURCE
        build_data["force_include"][str(stamped)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._folder.cleanup()
