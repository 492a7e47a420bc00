"""The demo's fleet to look at: simulated devices, and a rollout that is under way for minutes."""

from pathlib import Path

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
_PLAN = """\
trial = { time = "1s" }

[[stages]]
percent = 5
soak = "20s"
max_rolled_back_percent = 9

[[stages]]
percent = 20
soak = "2m"
max_rolled_back_percent = 9

[[stages]]
percent = 50
soak = "5m"
max_rolled_back_percent = 9
approval = true

[[stages]]
percent = 100
max_rolled_back_percent = 9
"""


def begin(folder: Path, models: Path, running: Processes, operator: CommandLine) -> str:
    """Starts them, and returns the address of the page."""
    operator.shows("init", FLEET_NAME)
    settle(operator, start_broker(operator, running))
    urls = start_serve(operator, running)
    fleet = ("simulate", "fleet", "--devices", str(DEVICES), "--target", HOST)
    behaviour = ("--update-seconds", "15", "--rolled-back", "2", "--report-minutes", "1")
    running.start("fleet", operator.command([*fleet, *behaviour]))
    for version in ("v1", "v2"):
        operator.asks(*release_arguments(models, version, HOST))
    heard = operator.waits(["fleet", "status"], lambda found: found["devices"] == DEVICES)
    if heard["devices"] != DEVICES:
        raise StorageError(f"only {heard['devices']} devices came: {running.last_words('fleet')}")
    say(f"  {DEVICES} simulated devices are there; v1 goes to all of them")
    operator.asks("rollout", "start", "digits", "v1", *_EVERYBODY)
    operator.waits(["rollout", "status"], lambda found: found["status"] == FINISHED)
    plan = folder / "under-way.toml"
    plan.write_text(_PLAN)
    operator.shows("rollout", "start", "digits", "v2", "--plan", str(plan))
    return urls.page
