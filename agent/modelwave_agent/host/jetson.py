"""Reads whether this is a Jetson, and its power mode, which determines its speed. Its CPU and GPU
share the memory, so Linux's available memory is the limit for both (memory.py).

    /proc/device-tree/compatible   names a Tegra chip
    /var/lib/nvpmodel/status       "pmode:0002 …": number of the mode
    /etc/nvpmodel.conf             "< POWER_MODEL ID=2 NAME=15W >": name of the mode
"""

import re
from pathlib import Path

from modelwave_agent.ports import ProofError
from modelwave_shared.limits import MAX_NAME

ROOT = Path("/")


def require() -> None:
    """Raises ProofError if this is not a Jetson."""
    if "nvidia,tegra" not in _text(ROOT / "proc/device-tree/compatible"):
        raise ProofError(
            'accelerator "jetson": this is not a Jetson (/proc/device-tree/compatible)'
        )


def power_mode() -> str:
    """Returns the name of the current power mode, its number if it has no name, "" if the system
    does not say it."""
    status = re.search(r"pmode:(\d+)", _text(ROOT / "var/lib/nvpmodel/status"))
    if status is None:
        return ""
    number = int(status[1])
    modes = re.findall(
        r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", _text(ROOT / "etc/nvpmodel.conf"), re.M
    )
    names = {int(found): name for found, name in modes}
    name = re.sub(r"[^A-Za-z0-9_.+-]", "_", names.get(number, str(number)))
    return name[: MAX_NAME - len("jetson/")]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
