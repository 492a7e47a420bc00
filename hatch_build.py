"""Hatchling runs this when it builds the sdist of modelwave, or the wheel of modelwave-agent: it
writes the commit into modelwave_shared/version.py, in the built file only, and adds shared/ to the
wheel. An editable install runs the sources themselves, which ask git, so it changes nothing."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
SHARED = ROOT / "shared"
VERSION = SHARED / "modelwave_shared" / "version.py"


class Commit(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path.insert(0, str(SHARED))
        from modelwave_shared import checkout

        self._folder = tempfile.TemporaryDirectory()
        stamped = Path(self._folder.name, "version.py")
        stamped.write_text(checkout.stamped(VERSION.read_text()))
        places = {str(stamped): str(VERSION.relative_to(self._base()))}
        if self.target_name == "wheel":
            places |= _shared_files()
        build_data["force_include"] |= places

    def _base(self) -> Path:
        return SHARED if self.target_name == "wheel" else ROOT

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._folder.cleanup()


def _shared_files() -> dict[str, str]:
    """Returns {file: its place in the wheel} of shared/, without the module that is stamped."""
    files = (path for path in SHARED.rglob("*") if path.is_file() and path != VERSION)
    return {str(path): str(path.relative_to(SHARED)) for path in files if path.suffix != ".pyc"}
