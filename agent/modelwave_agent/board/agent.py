"""The agent on a board, as a main.py uses it (docs/boards.md):

agent = BoardAgent("pico-1", "rp2040", {"digits": FunctionRuntime(load)}, link)
asyncio.create_task(agent.run())
live = agent.live("digits")             # release, version, path, labels_path, on_trial
agent.observe("digits", inferences=1)
"""

import gc
import os

from modelwave_agent.banks import Banks
from modelwave_agent.board.clock import BoardClock
from modelwave_agent.journal import Journal
from modelwave_agent.ports import Hooks
from modelwave_agent.runner import Agent
from modelwave_agent.update import JUDGING, Update
from modelwave_shared import topics
from modelwave_shared.limits import MAX_ENVELOPE_BYTES
from modelwave_shared.slots import slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwave_agent.ports import Fetcher, HookAnswer, Link, Runtime
    from modelwave_agent.runner import Listener
    from modelwave_agent.update import Live
    from modelwave_shared.fields import Document

    Hook = Callable[[Live], HookAnswer]

EEXIST = 17
# What may be garbage before it is collected, where the program has not set it. With none set
# what lives comes to lie all over the heap, and no model finds room in one piece.
GARBAGE_BYTES = 4096


class BoardAgent(Agent):
    """Runs in the program's event loop until it is cancelled."""

    def __init__(
        self,
        device: str,
        target: str,
        models: "dict[str, Runtime]",
        link: "Link",
        folder: str = "/modelwave",
        root: str = "/root.json",
        fetcher: "Fetcher | None" = None,
        serve: "Hook | None" = None,
        healthy: "Hook | None" = None,
        wall: "Callable[[], float] | None" = None,
        feed: "Callable[[], object] | None" = None,
        bank_bytes: int = 0,
        metrics_seconds: float = 900,
    ) -> None:
        """`models`: {name: Runtime}; `link`: a ports.Link; `folder`: what the agent keeps, made
        if need be; `root`: the file of the fleet's root of trust; `fetcher`: None for file
        blocks over the link.

        `serve(live)` and `healthy(live)`, async or not: the program is given a model, or is
        asked on trial before it is confirmed; they return what is wrong, if anything.
        `wall`, `feed`: BoardClock's. `bank_bytes`: what one bank may hold, 0 for what is free.

        Raises ValueError if the root of trust or the device's name is not as it must be,
        and OSError if the folder cannot be made. Verifying the root takes seconds on a
        board: make the agent before the watchdog runs."""
        if gc.threshold() < 0:
            gc.threshold(GARBAGE_BYTES)
        clock = BoardClock(wall, feed)
        with JUDGING:
            trusted = _enrolled(root, device)
        fleet = trusted["fleet"]
        about = {"fleet": fleet, "device": device, "target": target, "slot": slot(fleet, device)}
        listeners: "dict[str, Listener]" = {}
        if fetcher is None:
            from modelwave_agent.board.blocks import BlockFetcher

            fetcher = BlockFetcher(link, fleet, device, clock)
            listeners[topics.file_block(fleet, device)] = fetcher.take
        hooks = ProgramHooks(serve, healthy)
        _make(folder)
        updates = {}
        for model in models:
            place = folder + "/" + model
            _make(place)
            updates[model] = Update(
                model,
                about,
                trusted,
                Journal(place, "journal"),
                Banks(place, bank_bytes),
                models[model],
                fetcher,
                hooks,
                clock,
            )
        boots = Journal(folder, "device")
        Agent.__init__(self, about, updates, link, clock, boots, metrics_seconds, listeners)

    def live(self, model: str) -> "Live | None":
        """The model that serves now (update.Live). None until there is one, and until it was
        hashed again after a reset."""
        update = self.updates[model]
        return update.live() if update.booted.is_set() else None


class ProgramHooks(Hooks):
    """The functions of the program; one that it has not given finds nothing wrong."""

    def __init__(self, serve: "Hook | None", healthy: "Hook | None") -> None:
        self._serve = serve
        self._healthy = healthy

    def serve(self, live: "Live") -> "HookAnswer":
        return self._serve(live) if self._serve else ""

    def healthy(self, live: "Live") -> "HookAnswer":
        return self._healthy(live) if self._healthy else ""


def _enrolled(path: str, device: str) -> "Document":
    """The checked root document, without what only a new root would be checked by."""
    from modelwave_shared import documents

    try:
        with open(path, "rb") as file:
            size = min(os.stat(path)[6], MAX_ENVELOPE_BYTES + 1)
            root = documents.open_first_root(file.read(size))
    except (OSError, ValueError) as error:
        raise ValueError("%s: %s" % (path, error))
    with documents.READING:
        _check_name(device)
    del root["roles"]["root"]  # who have said what they had to; their keys go as well
    keys = root["keys"]
    root["keys"] = {key: keys[key] for role in root["roles"].values() for key in role["keyids"]}
    return root


def _check_name(device: str) -> None:
    from modelwave_shared import fields

    fields.name(device, "device")


def _make(folder: str) -> None:
    """Makes the folder, if it is not there."""
    try:
        os.mkdir(folder)
    except OSError as error:
        if error.args[0] != EEXIST:
            raise
