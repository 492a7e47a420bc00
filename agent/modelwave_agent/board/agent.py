"""The agent for boards; a main.py uses it like this (docs/boards.md):

agent = BoardAgent("pico-1", "rp2040", {"digits": FunctionRuntime(load)}, link)
asyncio.create_task(agent.run())
live = agent.live("digits")             # release, version, path, labels_path, on_trial
agent.observe("digits", inferences=1)

`await agent.wait_live("digits")` gives the model as soon as there is one.
"""

import asyncio
import os
import sys

import modelwave_agent.board.garbage  # noqa: F401  before the other imports, which make garbage
from modelwave_agent.banks import Banks
from modelwave_agent.board.clock import BoardClock
from modelwave_agent.board.patcher import BoardPatcher
from modelwave_agent.inbox import JUDGING
from modelwave_agent.journal import Journal
from modelwave_agent.ports import Hooks, Ports
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.runner import Agent
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared import topics
from modelwave_shared.errors import advised
from modelwave_shared.limits import MAX_ENVELOPE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from modelwave_agent.board.self_update import SelfUpdate
    from modelwave_agent.ports import BrokerLink, Fetcher, Runtime
    from modelwave_agent.runner import Listener
    from modelwave_agent.types import Document, HookAnswer, Live, MayAnswer
    from modelwave_agent.upcoming import Upcoming

    Hook = Callable[[Live], HookAnswer]
    MayHook = Callable[[Upcoming], MayAnswer]

BOOT = "modelwave_boot"  # boot.py, where a person has installed it
EEXIST = 17
TURN_SECONDS = 60  # the clock must be asked every few minutes (BoardClock)


class BoardAgent(Agent):
    """The agent of one board. `run` works in the program's event loop until it is cancelled."""

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
        may_update: "MayHook | None" = None,
        wall: "Callable[[], float] | None" = None,
        feed: "Callable[[], object] | None" = None,
        bank_bytes: int = 0,
        metrics_seconds: float = 900,
        report_key: str = "",
    ) -> None:
        """`models`: {name: Runtime}; `link`: a ports.BrokerLink; `folder`: the agent's files,
        created if missing; `root`: the file of the fleet's root of trust; `fetcher`: None for
        file blocks over the link.

        The agent calls `serve(live)` when a model begins to serve, and `healthy(live)` before it
        confirms a model on trial. Both may be async, and return "" or the problem. It calls
        `may_update(upcoming)` (class Upcoming) before a download and before the new model serves;
        that returns "", None or True if the update may go on, else why not now, or False.
        `wall`, `feed`: as in BoardClock. `bank_bytes`: most that one bank may hold; 0: all free
        space. `report_key`: the 64 digits of the key that proves reports; "": nothing does.

        Raises ValueError if the root of trust, the report key, or the name of the device, the
        target or a model is invalid, and OSError if the folder cannot be created. Verifying the
        root takes seconds on a board: create the agent before you start the watchdog."""
        clock = BoardClock(wall, feed)
        with JUDGING:
            trusted, problem = _trusted(device, target, models, root, folder)
        enrolment = Enrolment(device, target, trusted)
        fleet = enrolment.fleet
        listeners: "dict[str, Listener]" = {}
        if fetcher is None:
            from modelwave_agent.block_fetcher import BlockFetcher

            fetcher = BlockFetcher(link, fleet, device, clock)
            listeners[topics.file_block(fleet, device)] = fetcher.take
        self.hooks: "dict[str, BoardHooks]" = {}
        _make(folder)
        updates = {}
        fetcher.enrolment = enrolment
        patcher = BoardPatcher()
        for model in models:
            place = folder + "/" + model
            _make(place)
            hooks = self.hooks[model] = BoardHooks(serve, healthy, may_update)
            journal, banks = Journal(place, "journal"), Banks(place, bank_bytes)
            ports = Ports(journal, banks, models[model], fetcher, hooks, clock, patcher=patcher)
            updates[model] = Update(model, enrolment, ports)
        self.itself: "SelfUpdate | None" = None
        boot = sys.modules.get(BOOT)
        if boot and boot.START:  # it has started this program
            from modelwave_agent.board.self_update import joined

            asked = BoardHooks(None, None, may_update).may_update
            self.itself = joined(boot, folder, enrolment, models, dict(updates), ports, asked)
            self.itself.agent = self
            updates[self.itself.update.model] = self.itself.update
            for hooks in self.hooks.values():
                hooks.itself = self.itself
        boots = Journal(folder, "device")
        walk = RootWalk(enrolment, folder, clock, problem)
        Agent.__init__(
            self,
            enrolment,
            updates,
            link,
            clock,
            boots,
            walk,
            metrics_seconds,
            listeners,
            report_key=_key_of(report_key) if report_key else b"",
        )

    async def run(self) -> None:
        watching = asyncio.create_task(self.itself.watch()) if self.itself else None
        try:
            await Agent.run(self)
        finally:
            if watching:
                watching.cancel()

    def state(self) -> "Document":
        document = Agent.state(self)
        if self.itself:
            document["extra"]["runtimes"] = self.itself.offered()
        return document

    def live(self, model: str) -> "Live | None":
        """Returns the model that serves now (types.Live), or None. After a reset it is None until
        the model's files were checked. Raises ValueError if this device has no such model."""
        live = self.update_of(model).live()
        return live if self.hooks[model].served else None

    async def wait_live(self, model: str, timeout: "float | None" = None) -> "Live":
        """Returns the model that serves, as soon as there is one. `timeout`: seconds; None: no
        limit. Raises asyncio.TimeoutError, and ValueError if this device has no such model."""
        end = None if timeout is None else self.clock.now() + timeout
        while True:
            live = self.live(model)
            if live:
                return live
            left = TURN_SECONDS if end is None else min(end - self.clock.now(), TURN_SECONDS)
            if left <= 0:
                raise asyncio.TimeoutError("%s: no model is live yet" % model)
            news = self.hooks[model].news
            news.clear()
            await self.clock.wait(news, left)


class BoardHooks(Hooks):
    """Calls the program's functions; one that is missing reports no problem."""

    def __init__(
        self, serve: "Hook | None", healthy: "Hook | None", may_update: "MayHook | None"
    ) -> None:
        self._serve = serve
        self._healthy = healthy
        self._may_update = may_update
        self.served = False  # whether a model has served since the reset
        self.news = asyncio.Event()  # another model serves
        self.itself: "SelfUpdate | None" = None

    def serve(self, live: "Live") -> "HookAnswer":
        self.served = True
        self.news.set()
        return self._serve(live) if self._serve else ""

    def healthy(self, live: "Live") -> "HookAnswer":
        return self._healthy(live) if self._healthy else ""

    def may_update(self, upcoming: "Upcoming") -> "MayAnswer":
        busy = self.itself.at_work() if self.itself else ""
        return busy or (self._may_update(upcoming) if self._may_update else "")


def _trusted(
    device: str, target: str, models: "Iterable[str]", path: str, folder: str
) -> "tuple[Document, str]":
    """Checks the names, as the controller refuses reports with other ones. Returns what
    root_store.newest returns; the file `path` has the root of the enrolment."""
    from modelwave_agent import root_store
    from modelwave_shared import documents

    try:
        with open(path, "rb") as file:
            size = min(os.stat(path)[6], MAX_ENVELOPE_BYTES + 1)
            enrolled = documents.open_first_root(file.read(size))
    except (OSError, ValueError) as error:
        raise ValueError("%s: %s" % (path, advised(error, "agent")))
    with documents.CHECKING:
        _check_names(device, target, models)
    return root_store.newest(folder, enrolled)


def _check_names(device: str, target: str, models: "Iterable[str]") -> None:
    from modelwave_shared import fields, schema

    fields.name(device, "device")
    schema.target(target, "target")
    for model in models:
        fields.name(model, "models")


def _key_of(digits: str) -> bytes:
    from modelwave_shared.proofs import key_of  # in memory only on boards with a key

    return key_of(digits)


def _make(folder: str) -> None:
    """Creates the folder if it is missing."""
    try:
        os.mkdir(folder)
    except OSError as error:
        if error.args[0] != EEXIST:
            raise
