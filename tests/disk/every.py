"""All scenes by their names."""

from typing import Any

from tests.disk import scenes, self_update, windows, writers
from tests.disk.device import Facts
from tests.disk.home_files import HOME_FILES
from tests.disk.medium import State
from tests.disk.other_commands import OTHER_COMMANDS
from tests.disk.scenes import HISTORY, SCENES
from tests.disk.self_update import AGENT_SCENES
from tests.disk.sweep import Count, Sweep
from tests.disk.windows import SCRIPTS
from tests.disk.writers import Told

WRITERS = {one.name: one for one in (*HOME_FILES, *OTHER_COMMANDS)}
NAMES = (*SCENES, *AGENT_SCENES, *SCRIPTS, *WRITERS)

# Of so many more first cuts the second ones are made, and so many more moments are those of a kill.
LARGE = {"new home": 10, "restore": 10, "restore apart": 10, "device enrol": 10}
LARGE |= dict.fromkeys(AGENT_SCENES, 4)


def is_scene(name: str) -> bool:
    return name in NAMES or (name.startswith(HISTORY) and name.removeprefix(HISTORY).isdecimal())


def begun(name: str, count: Count, is_long: bool = False) -> tuple[Sweep, State, Any]:
    """Returns the sweep of a scene, which adds to `count`, the disk on which the scene begins, and
    the facts of before."""
    if name in SCENES or name.startswith(HISTORY):
        scene = SCENES.get(name) or scenes.history(int(name.removeprefix(HISTORY)))
        return scenes.sweep(scene, count, is_long), scene.start(), Facts()
    if name in AGENT_SCENES:
        scene = AGENT_SCENES[name]
        return self_update.sweep(scene, count, is_long), scene.start(), Facts()
    if name in SCRIPTS:
        script = SCRIPTS[name]
        return windows.sweep(script, count, is_long), script.start(), script.seen()
    writer = WRITERS[name]
    return writers.sweep(writer, count, is_long), writers.start(writer), Told()
