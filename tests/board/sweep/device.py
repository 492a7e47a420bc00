"""One life of a board, on MicroPython: the image is mounted, the agent boots and goes on
until its order has an outcome, or until the power goes.

    micropython tests/board/sweep/device.py    on stdin lines with paths of a LIFE.json

LIFE.json: {filesystem: lfs2 | lfs2-32 | fat, image, format: null, or the file of the root's
envelope with which a file system is made, and nothing else is done, cut_at, mode (flash.py),
late: whether the journal is written in the wrong order, has_times: false, so that littlefs does
not keep when a file was written, files: folder of the file server, verdicts: folder in which lives
share what they found of signatures, order: file of the desired topic's payload, seq: its number,
roots: files of the envelopes of the roots that follow, supersedes: null, or the file of the
payload that takes the order's place in the middle of the download}; paths are the host's, which
stays mounted at /. What happens is printed as it happens, one JSON object a line:

    boot      what stands on the medium and what would serve, before there is any network
    acted     a download begins, for the order with this number
    received  of the model, these many bytes; 0: its bank is about to be cleared
    phase     1: the order has been superseded
    report    a report as it goes to the broker
    cut       the power goes while this byte of the medium is written
    end       what stands on the medium last; operations: how many there were; fetched: bytes
"""

import asyncio
import gc
import hashlib
import json
import struct
import sys

# Set before the agent is imported, which would have it collected each 4 KB: half of a life's work.
gc.threshold(100_000)

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../../.."
sys.path[:0] = [ROOT, ROOT + "/shared", ROOT + "/agent"]

import ffi  # noqa: E402
import vfs  # noqa: E402

from modelwave_agent import numbering, ports  # noqa: E402
from modelwave_agent.banks import Banks  # noqa: E402
from modelwave_agent.board import agent as board_agent  # noqa: E402
from modelwave_agent.board.agent import BoardAgent  # noqa: E402
from modelwave_agent.board.clock import BoardClock  # noqa: E402
from modelwave_agent.journal import Journal  # noqa: E402
from modelwave_agent.record import new_record, serving, spare  # noqa: E402
from modelwave_shared import dsse, lean, topics  # noqa: E402
from tests.board.sweep.flash import Flash, Sectors  # noqa: E402

MODEL = "digits"
NAME, TARGET = "pico-1", "rp2040"
FOLDER = "/flash/modelwave"
BANKS = FOLDER + "/" + MODEL
ROOT_FILE = "/flash/root.json"
PIECE_BYTES = 512
ARENA_BYTES = 100_000
MAX_TURNS = 600  # of the event loop: ten times what a life takes that comes to its end
# Of a life; one that hangs is ended by a signal, which is a fault. A whole one computes for 0.05 s.
MAX_SECONDS, MAX_CPU_SECONDS = 200, 4
RLIMIT_CPU = 0

METRICS_SECONDS = 900  # the agent's default
REPEAT_SECONDS = 40  # a wait of so long is for what only repeats


class QuickClock(BoardClock):
    """Time passes at once when somebody waits for it, but for what only repeats: that never
    comes, and its event alone ends the wait."""

    def now(self):
        return self.passed / 1000

    async def sleep(self, seconds):
        if seconds == METRICS_SECONDS:
            await asyncio.Event().wait()
        self.passed += int(seconds * 1000)
        await asyncio.sleep(0)

    async def wait(self, event, seconds):
        if seconds > REPEAT_SECONDS:
            await event.wait()
        else:
            await self.sleep(seconds)
        return event.is_set()


# What a life does is decided by its medium and its orders alone.
numbering._drawn_install = lambda: "0123456789abcdef"
board_agent.BoardClock = QuickClock


def tell(what, value):
    print(json.dumps({what: value}))


# The ports.


class FileFetcher(ports.Fetcher):
    """A file server that is a folder of the host."""

    def __init__(self, folder):
        self.folder = folder
        self.fetched = 0
        self.supersede = None  # called in the middle of a model's download

    def serve(self, update):
        """Serves this update, and tells what it has received."""
        self.update = update
        banks = update.ports.banks
        clear = banks.clear

        def told(bank):
            tell("received", 0)
            clear(bank)

        banks.clear = told

    async def fetch(self, url, intake):
        tell("acted", self.update.work.progress.order.number[1])
        is_model = intake.path.endswith(".model")
        with open(self.folder + "/" + url.split("/")[-1], "rb") as file:
            file.seek(intake.offset)
            while True:
                piece = file.read(PIECE_BYTES)
                if not piece:
                    return
                self.fetched += len(piece)
                intake.write(piece)
                if is_model:
                    tell("received", intake.offset)
                if is_model and self.supersede and intake.offset >= 4 * PIECE_BYTES:
                    self.supersede()
                    await asyncio.Event().wait()  # the rest does not come
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
    """A broker that keeps one order, and the roots that follow the first; it can be reached once
    `open` is set."""

    def __init__(self, message, roots, published):
        self.message = message
        self.roots = {topics.root("demo", number): one for number, one in enumerate(roots, 2)}
        self.published = published
        self.open = asyncio.Event()
        self.came = asyncio.Event()
        self.waiting = []

    async def connect(self, will_topic, will):
        await self.open.wait()

    async def subscribe(self, wanted):
        self.waiting = [(topic, self.roots[topic]) for topic in wanted if topic in self.roots]
        for topic in wanted:
            if "/" + TARGET + "/" in topic and not topic.endswith("/all"):
                self.topic = topic
                self.waiting.append((topic, self.message))

    def replace(self, message):
        """Another order takes the place of the one that is kept."""
        self.message = message
        self.waiting.append((self.topic, message))
        self.came.set()

    async def subscribe_if_allowed(self, wanted):
        return False

    async def publish(self, topic, payload, retain):
        if topic == topics.reported("demo", NAME):
            self.published(json.loads(payload))
        await asyncio.sleep(0)

    async def receive(self):
        while not self.waiting:
            self.came.clear()
            await self.came.wait()
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
        roots = [contents(path) for path in told["roots"]]
        self.link = OneOrder(contents(told["order"]), roots, self.published)
        self.fetcher = FileFetcher(told["files"])
        if told["supersedes"]:
            self.fetcher.supersede = self.supersede
        models = {MODEL: StandIn()}
        self.agent = BoardAgent(NAME, TARGET, models, self.link, FOLDER, ROOT_FILE, self.fetcher)
        self.update = self.agent.updates[MODEL]
        self.fetcher.serve(self.update)
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

    def supersede(self):
        self.fetcher.supersede = None
        tell("phase", 1)
        self.link.replace(contents(self.told["supersedes"]))

    async def run(self):
        """Boots alone; once that is seen to, the broker is there. Ends when the order has its
        outcome, or never will."""
        life = asyncio.create_task(self.agent.run())
        await until(lambda: self.update.work.booted.is_set() or life.done())
        if self.update.work.booted.is_set():
            tell("boot", self.standing())
        self.link.open.set()
        await until(lambda: self.settled.is_set() or life.done())
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
            "kept": kept(BANKS, record),
        }
        for key in ("state", "outcome", "reason", "order", "blacklist"):
            told[key] = record[key]
        return told


async def until(is_so):
    for _ in range(MAX_TURNS):
        if is_so():
            return
        await asyncio.sleep(0)


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def kept(folder, record):
    """The bytes that there are of a model that is being fetched; None if none is."""
    return Banks(folder).size(spare(record), "model") if record["state"] == "fetching" else None


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
            limits = struct.pack("LL", MAX_CPU_SECONDS, MAX_CPU_SECONDS + 1)
            libc.func("i", "setrlimit", "iP")(RLIMIT_CPU, limits)
            live(path.strip())
            return
        status = bytearray(4)
        wait(child, status, 0)
        tell("status", int.from_bytes(status, "little"))


if __name__ == "__main__":
    serve(main)
