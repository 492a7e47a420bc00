"""One life of a board, on MicroPython: the image is mounted, the agent boots and goes on
until its order has an outcome, or until the power goes.

    micropython tests/board/sweep/device.py    on stdin lines with paths of a LIFE.json

LIFE.json: {filesystem: lfs2 | lfs2-32 | fat, image, format: null, or the file of the root's
envelope with which a file system is made, and nothing else is done, cut_at, mode (flash.py),
late: whether the journal is written in the wrong order, has_times: false, so that littlefs does
not keep when a file was written, files: folder of the file server, verdicts: folder in which lives
share what they found of signatures, order: file of the desired topic's payload, seq: its number,
root: null, or the file of the next root's envelope}; paths are the host's, which stays mounted at
/. What happens is printed as it happens, one JSON object a line:

    boot      what stands on the medium and what would serve, before there is any network
    report    a report as it goes to the broker
    cut       the power goes while this byte of the medium is written
    end       what stands on the medium last; operations: how many there were; fetched: bytes
"""

import asyncio
import gc
import hashlib
import json
import sys

# Set before the agent is imported, which would have it collected each 4 KB: half of a life's work.
gc.threshold(100_000)

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../../.."
sys.path[:0] = [ROOT, ROOT + "/shared", ROOT + "/agent"]

import ffi  # noqa: E402
import vfs  # noqa: E402

from modelwave_agent import ports  # noqa: E402
from modelwave_agent.board.agent import BoardAgent  # noqa: E402
from modelwave_agent.journal import Journal  # noqa: E402
from modelwave_agent.record import new_record, serving  # noqa: E402
from modelwave_shared import dsse, lean, topics  # noqa: E402
from tests.board.sweep.flash import Flash, Sectors  # noqa: E402

MODEL = "digits"
NAME, TARGET = "pico-1", "rp2040"
FOLDER = "/flash/modelwave"
BANKS = FOLDER + "/" + MODEL
ROOT_FILE = "/flash/root.json"
PIECE_BYTES = 512
ARENA_BYTES = 100_000
MAX_TURNS = 20_000
MAX_SECONDS = 200  # of a life; one that hangs is ended by a signal, which is a fault


def tell(what, value):
    print(json.dumps({what: value}))


# The ports.


class FileFetcher(ports.Fetcher):
    """A file server that is a folder of the host."""

    def __init__(self, folder):
        self.folder = folder
        self.fetched = 0

    async def fetch(self, url, intake):
        with open(self.folder + "/" + url.split("/")[-1], "rb") as file:
            file.seek(intake.offset)
            while True:
                piece = file.read(PIECE_BYTES)
                if not piece:
                    return
                self.fetched += len(piece)
                intake.write(piece)
                await asyncio.sleep(0)


class StandIn(ports.Runtime):
    """Answers the golden set of tests/signing.py rightly, unless the model says BAD."""

    name, format, version = "stand-in", "tflite", "1"

    def load(self, path):
        with open(path, "rb") as file:
            self.bad = file.read(3) == b"BAD"

    def run(self, data):
        return b"\x63" if self.bad else b"\3"

    def free_ram(self):
        return ARENA_BYTES


class OneOrder(ports.BrokerLink):
    """A broker that keeps one order, and the next root if there is one; it can be reached once
    `open` is set."""

    def __init__(self, message, root, published):
        self.message = message
        self.root = root
        self.published = published
        self.open = asyncio.Event()
        self.waiting = []

    async def connect(self, will_topic, will):
        await self.open.wait()

    async def subscribe(self, wanted):
        second = topics.root("demo", 2)
        self.waiting = [(second, self.root)] if self.root and second in wanted else []
        for topic in wanted:
            if "/" + TARGET + "/" in topic and not topic.endswith("/all"):
                self.waiting.append((topic, self.message))

    async def subscribe_if_allowed(self, wanted):
        return False

    async def publish(self, topic, payload, retain):
        if topic == topics.reported("demo", NAME):
            self.published(json.loads(payload))
        await asyncio.sleep(0)

    async def receive(self):
        if not self.waiting:
            await asyncio.Event().wait()
        return self.waiting.pop(0)


class LateJournal(Journal):
    """The rule broken on purpose: what follows from a record, and the report of it, comes
    first, and then the record."""

    waits = None

    def write(self, record):
        self.catch_up()
        self.waits = record

    def catch_up(self):
        if self.waits is not None:
            record, self.waits = self.waits, None
            Journal.write(self, record)


# The signatures.


def share_verdicts(folder):
    """Lives of a sweep get the same documents, and a signature is most of the work of a life. So
    each is verified once, by the board's own code; the others read its verdict. For this dsse.py
    stays in memory, and so do the others: a life in a sweep is short."""
    verify = dsse.Envelope._is_signed_by

    def shared(self, key, signature):
        asked = key + signature + dsse.signed_bytes(self.kind, self.payload)
        path = folder + "/" + hashlib.sha256(asked).digest().hex()
        try:
            verdict = contents(path)
        except OSError:
            verdict = b""  # nobody has asked yet
        if verdict not in (b"yes", b"no"):  # or another life is about to write it
            verdict = b"yes" if verify(self, key, signature) else b"no"
            with open(path, "wb") as file:
                file.write(verdict)
        return verdict == b"yes"

    dsse.Envelope._is_signed_by = shared
    lean.tidy = lambda modules: None


# The file system.


def medium_of(told):
    kind = Sectors if told["filesystem"] == "fat" else Flash
    return kind(told["image"], told["cut_at"], told["mode"])


def mount(told, medium, make=False):
    kind, options = {
        "lfs2": (vfs.VfsLfs2, {"progsize": Flash.PAGE_BYTES}),
        "lfs2-32": (vfs.VfsLfs2, {}),
        "fat": (vfs.VfsFat, {}),
    }[told["filesystem"]]
    if make:
        kind.mkfs(medium, **options)
    if kind is vfs.VfsLfs2 and not told.get("has_times", True):
        options["mtime"] = False
    vfs.mount(kind(medium, **options), "/flash")


def enrol(told):
    """What a person does before the agent first runs."""
    mount(told, medium_of(told), make=True)
    with open(told["format"], "rb") as given, open(ROOT_FILE, "wb") as root:
        root.write(given.read())


# One life.


class Life:
    def __init__(self, told):
        self.told = told
        self.settled = asyncio.Event()
        self.medium = medium_of(told)
        mount(told, self.medium)
        root = contents(told["root"]) if told["root"] else None
        self.link = OneOrder(contents(told["order"]), root, self.published)
        self.fetcher = FileFetcher(told["files"])
        models = {MODEL: StandIn()}
        self.agent = BoardAgent(NAME, TARGET, models, self.link, FOLDER, ROOT_FILE, self.fetcher)
        self.update = self.agent.updates[MODEL]
        if told["late"]:
            self.update.ledger.journal = LateJournal(BANKS, "journal")
            self.update.ledger.journal.read()

    def published(self, report):
        tell("report", report)
        state = report["models"][MODEL]
        if state["seq"] == self.told["seq"] and state["outcome"] and state["state"] == "idle":
            self.settled.set()
        if self.told["late"]:
            self.update.ledger.journal.catch_up()

    async def run(self):
        """Boots alone; once that is seen to, the broker is there. Ends when the order has its
        outcome, or never will."""
        life = asyncio.create_task(self.agent.run())
        await asyncio.sleep(0)
        await self.update.work.booted.wait()
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
        told["fetched"] = self.fetcher.fetched
        tell("end", told)

    def standing(self):
        """What a reader of the medium finds, and what the program would be given."""
        record = Journal(BANKS, "journal").read() or new_record()
        live = self.agent.live(MODEL)
        entry = record["banks"][serving(record)]
        told = {
            "served": live.release if live else 0,
            "confirmed": bool(entry and entry["confirmed"]),
            "damage": damage(live.path, entry) if live else "",
            "boot": Journal(FOLDER, "device").read()["boot"],
            "root": self.agent.device.root_version,
        }
        for key in ("state", "outcome", "reason", "order", "blacklist"):
            told[key] = record[key]
        return told


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def damage(model_path, entry):
    """Hashes what serves apart from the agent's own code; "" if it is whole."""
    for file in entry["files"]:
        with open(model_path.rsplit(".", 1)[0] + "." + file["role"], "rb") as found:
            digest = hashlib.sha256(found.read()).digest()
        if digest.hex() != file["sha256"]:
            return file["role"]
    return ""


def main(path):
    with open(path) as file:
        told = json.load(file)
    if told["format"]:
        enrol(told)
    else:
        share_verdicts(told["verdicts"])
        asyncio.run(Life(told).run())


def serve(live):
    """Calls live(path) for each path on a line of stdin, in a process that is forked off from this
    one. Then prints {"status": as of waitpid}."""
    libc = ffi.open(None)
    fork, wait = libc.func("i", "fork", ""), libc.func("i", "waitpid", "ipi")
    for path in sys.stdin:
        child = fork()
        if not child:
            libc.func("I", "alarm", "I")(MAX_SECONDS)
            live(path.strip())
            return
        status = bytearray(4)
        wait(child, status, 0)
        tell("status", int.from_bytes(status, "little"))


if __name__ == "__main__":
    serve(main)
