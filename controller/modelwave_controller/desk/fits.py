"""Does the calls about models that are no release yet."""

from pathlib import Path
from typing import Any

from modelwave_controller.api import fits as calls
from modelwave_controller.desk.doing import OfFiles, does
from modelwave_controller.models.targets import Targets
from modelwave_controller.releases.model_fits import fits


@does(calls.FIT)
def fit(desk: OfFiles, asked: calls.Fit, sent: Path) -> list[dict[str, Any]]:
    known = Targets(desk.home.targets)
    names = asked.targets.split(",") if asked.targets else known.all()
    return fits(sent, asked.name or "the model", [known.get(name) for name in names])
