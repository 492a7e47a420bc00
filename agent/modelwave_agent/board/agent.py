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
from modelwave_agent.inbox import JUDGING
from modelwave_agent.journal import Journal
from modelwave_agent.ports import Hooks, Ports
from modelwave_agent.runner import Agent
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared import topics
from modelwave_shared.errors import advised
from modelwave_shared.limits import MAX_ENVELOPE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwave_agent.ports import BrokerLink, Fetcher, Runtime
    from modelwave_agent.runner import Listener
    from modelwave_agent.types import HookAnswer, Live

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
        link: "BrokerLink",
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
        """`models`: {name: Runtime}; `link`: a ports.BrokerLink; `folder`: what the agent
        keeps, made if need be; `root`: the file of the fleet's root of trust; `fetcher`: None
        for file blocks over the link.

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
            enrolment = _enrolled(device, target, root)
        fleet = enrolment.fleet
        listeners: "dict[str, Listener]" = {}
        if fetcher is None:
            from modelwave_agent.board.blocks import BlockFetcher

            fetcher = BlockFetcher(link, fleet, device, clock)
            listeners[topics.file_block(fleet, device)] = fetcher.take
        hooks = BoardHooks(serve, healthy)
        _make(folder)
        updates = {}
        for model in models:
            place = folder + "/" + model
            _make(place)
            journal, banks = Journal(place, "journal"), Banks(place, bank_bytes)
            ports = Ports(journal, banks, models[model], fetcher, hooks, clock)
            updates[model] = Update(model, enrolment, ports)
        boots = Journal(folder, "device")
        Agent.__init__(self, enrolment, updates, link, clock, boots, metrics_seconds, listeners)

    def live(self, model: str) -> "Live | None":
        """The model that serves now (types.Live). None until there is one, and until it was
        hashed again after a reset."""
        update = self.updates[model]
        return update.live() if update.work.booted.is_set() else None


class BoardHooks(Hooks):
    """The functions of the program; one that it has not given finds nothing wrong."""

    def __init__(self, serve: "Hook | None", healthy: "Hook | None") -> None:
        self._serve = serve
        self._healthy = healthy

    def serve(self, live: "Live") -> "HookAnswer":
        return self._serve(live) if self._serve else ""

    def healthy(self, live: "Live") -> "HookAnswer":
        return self._healthy(live) if self._healthy else ""


def _enrolled(device: str, target: str, path: str) -> Enrolment:
    """The Enrolment by the root document in the file `path`, without what only a new root
    would be checked by."""
    from modelwave_shared import documents

    try:
        with open(path, "rb") as file:
            size = min(os.stat(path)[6], MAX_ENVELOPE_BYTES + 1)
            root = documents.open_first_root(file.read(size))
    except (OSError, ValueError) as error:
        raise ValueError("%s: %s" % (path, advised(error, "agent")))
    with documents.CHECKING:
        _check_name(device)
    del root["roles"]["root"]  # its keys go as well
    keys = root["keys"]
    root["keys"] = {key: keys[key] for role in root["roles"].values() for key in role["keyids"]}
    return Enrolment(device, target, root)


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
