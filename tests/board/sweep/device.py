"""One life of a board, on MicroPython: the image is mounted, the agent boots and goes on
until its order has an outcome, or until the power goes.

    micropython tests/board/sweep/device.py LIFE.json

LIFE.json: {filesystem: lfs2 | fat, image, format: whether to make the file system and do
nothing else, cut_at, mode (flash.py), late: whether the journal is written in the wrong order,
files: folder of the file server, root: file of its envelope, order: file of the desired
topic's payload, seq: its number}; paths are the host's, which stays mounted at /. What happens
is printed as it happens, one JSON object a line:

    boot      what stands on the medium and what would serve, before there is any network
    report    a report as it goes to the broker
    cut       the power goes while this byte of the medium is written
    end       what stands on the medium last; operations: how many there were
"""

import asyncio
import hashlib
import json
import os
import sys

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../../.."
sys.path[:0] = [ROOT, ROOT + "/shared", ROOT + "/agent"]

import vfs  # noqa: E402
from tests.board.sweep.flash import Flash, Sectors  # noqa: E402

from modelwave_agent import machine, ports  # noqa: E402
from modelwave_agent.banks import Banks  # noqa: E402
from modelwave_agent.journal import Journal  # noqa: E402
from modelwave_agent.runner import Agent  # noqa: E402
from modelwave_agent.update import Update  # noqa: E402
from modelwave_shared import documents, slots, topics  # noqa: E402

MODEL = "digits"
DEVICE = {"fleet": "demo", "device": "pico-1", "target": "rp2040"}
DEVICE["slot"] = slots.slot(DEVICE["fleet"], DEVICE["device"])
TOPIC = topics.desired_slot("demo", "rp2040", MODEL, DEVICE["slot"])
REPORTED = topics.reported("demo", "pico-1")
FOLDER = "/flash/modelwave"
PIECE_BYTES = 512
ARENA_BYTES = 100_000
MAX_TURNS = 20_000


def tell(what: str, value: object) -> None:
    print(json.dumps({what: value}))


# The ports.


class FileFetcher(ports.Fetcher):
    """A file server that is a folder of the host."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    async def fetch(self, url, intake) -> None:
        with open(self.folder + "/" + url.split("/")[-1], "rb") as file:
            file.seek(intake.offset)
            while True:
                piece = file.read(PIECE_BYTES)
                if not piece:
                    return
                intake.write(piece)
                await asyncio.sleep(0)


class StandIn(ports.Runtime):
    """Answers the golden set of tests/signing.py rightly, unless the model says BAD."""

    name, format, version = "stand-in", "tflite", "1"

    def load(self, path: str) -> None:
        with open(path, "rb") as file:
            self.bad = file.read(3) == b"BAD"

    def run(self, data: bytes) -> bytes:
        return b"\x63" if self.bad else b"\3"

    def free_ram(self) -> int:
        return ARENA_BYTES


class QuickClock(ports.Clock):
    """Time passes at once where somebody waits, so that each life has the same operations;
    but what only repeats, a report or a measurement, waits for ever."""

    REPEAT_SECONDS = 40

    def __init__(self) -> None:
        self.seconds = 0

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        if seconds > self.REPEAT_SECONDS:
            await asyncio.Event().wait()
        self.seconds += seconds
        await asyncio.sleep(0)

    async def wait(self, event, seconds: float) -> bool:
        if seconds > self.REPEAT_SECONDS:
            await event.wait()
            return True
        await self.sleep(seconds)
        return event.is_set()


class OneOrder(ports.Link):
    """A broker that keeps one order, and can be reached once `open` is set."""

    def __init__(self, message: bytes, published) -> None:
        self.message = message
        self.published = published
        self.open = asyncio.Event()

    async def connect(self, will_topic: str, will: bytes) -> None:
        await self.open.wait()

    async def subscribe(self, wanted) -> None:
        assert TOPIC in wanted

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        if topic == REPORTED:
            self.published(json.loads(payload))
        await asyncio.sleep(0)

    async def receive(self):
        if self.message is None:
            await asyncio.Event().wait()
        message, self.message = self.message, None
        return TOPIC, message


class LateJournal(Journal):
    """The rule broken on purpose: what follows from a record, and the report of it, comes
    first, and then the record."""

    waits = None

    def write(self, record) -> None:
        self.catch_up()
        self.waits = record

    def catch_up(self) -> None:
        if self.waits is not None:
            record, self.waits = self.waits, None
            Journal.write(self, record)


# The file system.


def medium(told):
    return (Flash if told["filesystem"] == "lfs2" else Sectors)(
        told["image"], told["cut_at"], told["mode"]
    )


def kind(told):
    return vfs.VfsLfs2 if told["filesystem"] == "lfs2" else vfs.VfsFat


def options(told):
    return {"progsize": Flash.PAGE_BYTES} if told["filesystem"] == "lfs2" else {}


# One life.


class Life:
    def __init__(self, told) -> None:
        self.told = told
        self.settled = asyncio.Event()
        self.medium = medium(told)
        vfs.mount(kind(told)(self.medium, **options(told)), "/flash")
        if FOLDER.split("/")[-1] not in os.listdir("/flash"):
            os.mkdir(FOLDER)
        self.journal = (LateJournal if told["late"] else Journal)(FOLDER, MODEL)
        with open(told["root"], "rb") as file:
            root = documents.open_first_root(file.read())
        with open(told["order"], "rb") as file:
            self.link = OneOrder(file.read(), self.published)
        self.clock = QuickClock()
        self.update = Update(
            MODEL,
            DEVICE,
            root,
            self.journal,
            Banks(FOLDER),
            StandIn(),
            FileFetcher(told["files"]),
            ports.Hooks(),
            self.clock,
        )
        boots = Journal(FOLDER, "device")
        self.agent = Agent(DEVICE, {MODEL: self.update}, self.link, self.clock, boots)

    def published(self, report) -> None:
        tell("report", report)
        state = report["models"][MODEL]
        if state["seq"] == self.told["seq"] and state["outcome"] and state["state"] == "idle":
            self.settled.set()
        if self.told["late"]:
            self.journal.catch_up()

    async def run(self) -> None:
        """Boots alone; once that is seen to, the broker is there. Ends when the order has its
        outcome, or never will."""
        life = asyncio.create_task(self.agent.run())
        await asyncio.sleep(0)
        await self.update.booted.wait()
        tell("boot", self.standing())
        self.link.open.set()
        for _ in range(MAX_TURNS):
            if self.settled.is_set() or life.done():
                break
            await asyncio.sleep(0)
        life.cancel()
        try:
            await life
        except asyncio.CancelledError:
            pass
        told = self.standing()
        told["operations"] = self.medium.operations
        tell("end", told)

    def standing(self):
        """What the medium says, and what would serve."""
        record = Journal(FOLDER, MODEL).read() or machine.new_record()
        live = self.update.live()
        entry = record["banks"][machine.serving(record)]
        told = {
            "served": live.release if live else 0,
            "confirmed": bool(entry and entry["confirmed"]),
            "damage": "",
            "boot": Journal(FOLDER, "device").read()["boot"],
            "free": os.statvfs(FOLDER)[0] * os.statvfs(FOLDER)[3],
        }
        for key in ("state", "outcome", "reason", "order", "blacklist"):
            told[key] = record[key]
        if live:
            told["damage"] = damage(live.path, entry)
        return told


def damage(model_path: str, entry) -> str:
    """Hashes what serves apart from the agent's own code; "" if it is whole."""
    for file in entry["files"]:
        with open(model_path.rsplit(".", 1)[0] + "." + file["role"], "rb") as found:
            digest = hashlib.sha256(found.read()).digest()
        if digest.hex() != file["sha256"]:
            return file["role"]
    return ""


def main(path: str) -> None:
    with open(path) as file:
        told = json.load(file)
    if told["format"]:
        kind(told).mkfs(medium(told), **options(told))
    else:
        asyncio.run(Life(told).run())


if __name__ == "__main__":
    main(sys.argv[1])
