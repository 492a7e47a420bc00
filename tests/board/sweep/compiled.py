"""The modules of a life, compiled once for a sweep: half of a life from their sources is the
compiler's work."""

from pathlib import Path

from modelwave_controller.boards.compiling import compiled
from tests.micropython import ROOT

HERE = Path(__file__).parent.relative_to(ROOT)
TREES = ("shared/modelwave_shared", "agent/modelwave_agent")
HOST = "agent/modelwave_agent/host/"
HELPERS = ("flash.py", "device.py")


def program(folder, name):
    """Returns the path of the program `name` of this folder, in a tree of compiled modules that is
    made in `folder` if it is not there."""
    if not folder.exists():
        for tree in TREES:
            for path in (ROOT / tree).rglob("*.py"):
                if HOST not in str(path):
                    _compile(folder, path)
        for helper in HELPERS:
            _compile(folder, ROOT / HERE / helper)
    made = folder / HERE / name
    if not made.exists():
        made.write_bytes((ROOT / HERE / name).read_bytes())
    return made


def _compile(folder, path):
    name = path.relative_to(ROOT)
    made = (folder / name).with_suffix(".mpy")
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(compiled(path.read_text(encoding="utf-8"), path.name))
