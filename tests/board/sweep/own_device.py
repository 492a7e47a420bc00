"""Lives of a board that updates its agent, each from a reset to the next one or to the end, on a
medium whose power may go (flash.py). Used by own_cuts.py:

    micropython own_device.py    on stdin what device.py is told

The boot module is the real one. A package has a module `marker` in place of the agent's, with the
version that this agent says it is; one that is broken raises an error there. Prints a JSON object a
line: report, cut (as device.py), and

    boot     place, version; on_trial; damage of the package that was started, state and outcome
    reset    operations
    end      as boot, with operations
"""

import asyncio
import json
import os
import sys

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../../.."
sys.path[:0] = [ROOT, ROOT + "/shared", ROOT + "/agent"]

from tests.board.sweep import device  # noqa: E402, I001 (it sets gc's threshold)
from modelwave_agent.board import boot, self_update  # noqa: E402
from modelwave_agent.board.agent import BoardAgent  # noqa: E402
from modelwave_agent.journal import Journal  # noqa: E402
from modelwave_agent.own_bank import place_of  # noqa: E402
from modelwave_agent.record import new_record  # noqa: E402

OWN_BANKS = device.FOLDER + "/agent"
sys.modules["modelwave_boot"] = boot
self_update.WATCH_SECONDS = 0


class OneAgent(device.OneOrder):
    """Its order is for the agent."""

    async def subscribe(self, wanted):
        self.waiting = []
        for topic in wanted:
            if "/agent/" in topic and not topic.endswith("/all") and device.TARGET in topic:
                self.waiting.append((topic, self.message))


class Life:
    def __init__(self, told):
        self.told = told
        self.settled = False
        self.journal = None  # the one that is written late, if that is told
        self.medium = device.medium_of(told)
        device.mount(told, self.medium)
        boot.START = boot.Start(device.FOLDER, self.reset)
        boot.START.choose()
        self.link = OneAgent(device.contents(told["order"]), [], self.published)

    def reset(self):
        self.catch_up()
        device.tell("reset", {"operations": self.medium.operations})
        os.system("kill -9 $PPID")

    def version(self):
        """What the agent that was started says that it is."""
        if not boot.START.place:
            return "0"
        try:
            import marker
        except RuntimeError as error:
            boot.START.fail("RuntimeError: %s" % error)
        return marker.VERSION

    def published(self, report):
        device.tell("report", report)
        state = report["models"]["agent"]
        is_mine = state["seq"] == self.told["seq"] and state["state"] == "idle"
        if is_mine and state["outcome"] and place_of(self.record()) == boot.START.place:
            self.settled = True
        self.catch_up()

    def catch_up(self):
        if self.journal:
            self.journal.catch_up()

    def record(self):
        return Journal(OWN_BANKS, "journal").read() or new_record()

    async def run(self):
        version = self.version()
        fetcher = device.FileFetcher(self.told["files"])
        agent = BoardAgent(
            device.NAME,
            device.TARGET,
            {device.MODEL: device.StandIn()},
            self.link,
            device.FOLDER,
            device.ROOT_FILE,
            fetcher,
        )
        agent.version = version
        fetcher.serve(agent.itself.update)
        if self.told["late"]:
            self.journal = device.LateJournal(OWN_BANKS, "journal")
            self.journal.read()
            agent.itself.update.ledger.journal = self.journal
        device.tell("boot", self.standing(version))
        life = asyncio.create_task(agent.run())
        self.link.open.set()
        await device.until(lambda: self.settled or life.done())
        told = self.standing(version)
        told["operations"] = self.medium.operations
        device.tell("end", told)

    def standing(self, version):
        """What a reader of the medium finds."""
        record, start = self.record(), boot.START
        told = {"place": start.place, "version": version, "on_trial": start.on_trial}
        told["damage"] = ""
        told["confirmed"] = True
        told["kept"] = device.kept(OWN_BANKS, record)
        if start.place:
            entry = record["banks"][boot.BANKS.index(start.place)]
            path = OWN_BANKS + "/" + start.place + ".model"
            told["damage"] = device.damage(path, entry) if entry else "no entry"
            told["confirmed"] = bool(entry and entry["confirmed"])
        for key in ("state", "outcome", "reason", "order", "tries"):
            told[key] = record[key]
        return told


def main(path):
    with open(path) as file:
        told = json.load(file)
    if told["format"]:
        device.enrol(told)
    else:
        device.share_verdicts(told["verdicts"])
        asyncio.run(Life(told).run())


device.serve(main)
