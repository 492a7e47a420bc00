"""The virtual environment of an agent in a bank.

One that is whole has the file `complete` with the sha256 of the wheelhouse that it was made of. The
file is written last, after all else is on the medium, and deleted first: it is gone from the medium
before any other file is.
"""

import shutil
from pathlib import Path

from modelwave_agent.journal import sync_name

COMPLETE = "complete"
# The agent as an argument of its environment's Python, which ignores PYTHONPATH and the like.
AGENT = ("-I", "-m", "modelwave_agent.host.daemon")
# The same for the agent that was installed with the launcher, wherever it is.
OWN_AGENT = ("-P", "-m", "modelwave_agent.host.daemon")


def python_of(folder: Path) -> Path:
    """Returns the Python of an environment."""
    return folder / "bin" / "python"


def is_complete(folder: Path) -> bool:
    """Whether the environment was installed to its end, and its Python is still there: an update of
    the system may have taken it away."""
    return (folder / COMPLETE).is_file() and python_of(folder).exists()


def remove(folder: Path) -> None:
    """Deletes an environment. Raises OSError."""
    if folder.is_dir():
        marker = folder / COMPLETE
        marker.unlink(missing_ok=True)
        sync_name(str(marker))
        shutil.rmtree(folder)
