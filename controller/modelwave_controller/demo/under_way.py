"""The demo's fleet to look at: simulated devices, and a rollout that is under way for minutes."""

from pathlib import Path
from typing import Any

from modelwave_controller.demo.command import CommandLine
from modelwave_controller.demo.examples import release_arguments
from modelwave_controller.demo.fleet import FLEET_NAME, HOST
from modelwave_controller.demo.processes import Processes
from modelwave_controller.demo.service import settle, start_broker, start_serve
from modelwave_controller.errors import StorageError
from modelwave_controller.rollout.state import FINISHED
from modelwave_controller.terminal import say

DEVICES = 200
_EVERYBODY = ("--stages", "100", "--soak", "1", "--trial-seconds", "1", "--max-rolled-back", "9")
BEFORE_WINDOWS, INFERENCES = 4, 100  # of each device, with v1; in each window
_PLAN = """\
gates = [
    "accuracy >= baseline - 0.05",
    "failures <= baseline + 0.02",
    "mean(latency_ms) <= 1.2 * baseline",
]
trial = { time = "1s" }
judge = { window = "6s", grace = "3s", inconclusive = "go on" }

[[stages]]
percent = 5
soak = "30s"
max_rolled_back_percent = 20

[[stages]]
percent = 20
soak = "2m"
max_rolled_back_percent = 9

[[stages]]
percent = 50
soak = "5m"
max_rolled_back_percent = 9
approval = "what canaries measured"

[[stages]]
percent = 100
soak = "1m"
gates = []
max_rolled_back_percent = 9
"""


def begin(folder: Path, models: Path, running: Processes, operator: CommandLine) -> str:
    """Starts them, and returns the address of the page."""
    operator.shows("init", FLEET_NAME)
    settle(operator, start_broker(operator, running))
    urls = start_serve(operator, running)
    fleet = ("simulate", "fleet", "--devices", str(DEVICES), "--target", HOST)
    behaviour = ("--update-seconds", "15", "--rolled-back", "2", "--report-minutes", "1")
    windows = ("--window-minutes", "0.1", "--inferences", str(INFERENCES))
    running.start("fleet", operator.command([*fleet, *behaviour, *windows]))
    for version in ("v1", "v2"):
        operator.asks(*release_arguments(models, version, HOST))
    heard = operator.waits(["fleet", "status"], lambda found: found["devices"] == DEVICES)
    if heard["devices"] != DEVICES:
        raise StorageError(f"only {heard['devices']} devices came: {running.last_words('fleet')}")
    say(f"  {DEVICES} simulated devices are there; v1 goes to all of them")
    operator.asks("rollout", "start", "digits", "v1", *_EVERYBODY)
    operator.waits(["rollout", "status"], lambda found: found["status"] == FINISHED)
    say("  v2 is measured against what they measure with v1")
    operator.waits(["fleet", "status"], _have_measured)
    plan = folder / "under-way.toml"
    plan.write_text(_PLAN)
    operator.shows("rollout", "start", "digits", "v2", "--plan", str(plan))
    return urls.page


def _have_measured(found: Any) -> bool:
    inferences = sum(one["inferences"] for one in found["metrics"])
    return bool(inferences >= DEVICES * BEFORE_WINDOWS * INFERENCES)
