"""What a Jetson tells of itself. CPU and GPU share its memory, so that what Linux has
available decides (litert.py); how fast it computes is its power mode's to say.

    /proc/device-tree/compatible   names a Tegra chip
    /var/lib/nvpmodel/status       "pmode:0002 …": the number of the mode
    /etc/nvpmodel.conf             "< POWER_MODEL ID=2 NAME=15W >": its name
"""

import re
from pathlib import Path

from modelwave_agent.ports import ProofError
from modelwave_shared.limits import MAX_NAME

ROOT = Path("/")


def require() -> None:
    """Raises ProofError if this is no Jetson."""
    if "nvidia,tegra" not in _text(ROOT / "proc/device-tree/compatible"):
        raise ProofError('accelerator "jetson": this is no Jetson (/proc/device-tree/compatible)')


def power_mode() -> str:
    """The name of the power mode that is set now, its number where it has no name, "" where
    none is told."""
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
