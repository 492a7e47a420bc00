"""A simulated board without an agent, and the gateway that carries it.

The gateway is the world of fakes.py: its disk is a real folder, and its power fails at a chosen
call. The board has a boot loader with two slots, as MCUboot: a file on trial stays only if it was
confirmed before the next reset. It has power of its own, and fails in its own ways at a chosen call
of its Carrier (`trouble`).
"""

import asyncio
import io
from pathlib import Path

from modelwave_agent import root_store
from modelwave_agent.host.carried.agent import CarriedAgent
from modelwave_agent.host.carried.board import Board
from modelwave_agent.host.carried.hooks import CarrierHooks
from modelwave_agent.host.carried.port import BoardState, Carrier, CarrierError
from modelwave_agent.host.carried.ports import CarrierPorts
from modelwave_agent.host.patcher import HostPatcher
from modelwave_agent.journal import Journal, _read
from modelwave_agent.record import new_record
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.types import Enrolment
from modelwave_shared.limits import MAX_JOURNAL_BYTES
from tests import signing
from tests.agent.fakes import (
    DEVICE,
    ROOT,
    TOPIC,
    FakeBanks,
    FakeClock,
    FakeFetcher,
    FakeJournal,
    FakeLink,
    World,
    live,
)

FIRST = b"the file that a board has from its maker"
FACTORY = signing.sha(FIRST)
# What may happen at a call: the board does not answer, its answer is lost after it did what it was
# told, or it is reset before or after it did that, or before it so quickly that nobody notices.
TROUBLES = ("deaf", "mute", "reset before", "reset after", "reset unnoticed")


class FakeBoard:
    def __init__(self):
        self.runs = self.spare = FACTORY
        self.is_confirmed = True
        self.files = {FACTORY: FIRST}
        self.told = []  # the methods that were called
        self.flashed = []  # the files that were written
        self.is_plugged_in = True

    def reset(self):
        if not self.is_confirmed:
            self.runs, self.spare, self.is_confirmed = self.spare, self.runs, True

    def take(self, sha256, data):
        """Writes the file into the spare slot, swaps, and resets."""
        if self.spare != sha256:
            self.spare = sha256
            self.files[sha256] = data
            self.flashed.append(sha256)
        self.runs, self.spare, self.is_confirmed = self.spare, self.runs, False


class FakeCarrier(Carrier):
    proves = True
    observes = True

    def __init__(self, world):
        self.world = world
        self.board = world.board

    def call(self, name, do, torn=None):
        board = self.board

        def told():
            board.told.append(name)
            trouble = self.world.trouble_now()
            if trouble in ("reset before", "reset unnoticed"):
                board.reset()
            if trouble in ("deaf", "reset before") or not board.is_plugged_in:
                raise CarrierError("the board does not answer")
            answer = do()
            if trouble == "reset after":
                board.reset()
            if trouble in ("mute", "reset after"):
                raise CarrierError("the board does not answer", has_begun=name == "write")
            return answer

        return self.world.call(told, torn)

    async def state(self):
        board = self.board
        return self.call(
            "state",
            lambda: BoardState(
                board.runs, board.is_confirmed, 100_000, 50_000, ("CONV_2D",), "tflite", "2.14.0"
            ),
        )

    async def write(self, path, sha256, progress):
        world = self.world
        if world.durable()["state"] != "trial":
            world.fault("a board is written before the journal says trial")
        data = _bytes_of(path)
        if signing.sha(data) != sha256:
            world.fault("a damaged file is written to the board")

        def torn():
            self.board.spare = "torn"

        progress(len(data), len(data))
        self.call("write", lambda: self.board.take(sha256, data), torn)
        await asyncio.sleep(0)
        return world.refuses

    async def prove(self, golden_path, manifest):
        if not _bytes_of(golden_path):
            self.world.fault("no golden set is there")
        wanted = self.world.on_trial()
        bad = self.call(
            "prove", lambda: self.board.runs != wanted or self.board.files[wanted][:3] == b"BAD"
        )
        return "golden set: 1 of 1 outputs off" if bad else ""

    async def healthy(self, seconds):
        self.call("healthy", lambda: None)
        return self.world.unwell.get(self.board.runs, "")

    async def confirm(self):
        record = self.world.durable()
        if record["state"] != "trial":
            self.world.fault(f"confirmed while the journal says {record['state']}")

        def do():
            self.board.is_confirmed = True

        self.call("confirm", do)

    async def back(self, path, sha256):
        def do():
            self.board.reset()
            if self.board.runs != sha256:
                self.board.take(sha256, _bytes_of(path))
            self.board.is_confirmed = True

        self.call("back", do)
        await asyncio.sleep(0)

    async def leave(self):
        self.call("leave", self.board.reset)

    async def observed(self):
        return self.call("observed", self.world.counted)


class CarriedWorld(World):
    """`boot` makes a CarriedAgent."""

    carrier_class = FakeCarrier

    def __init__(self, folder, keeps_removals=True):
        super().__init__(folder, keeps_removals)
        self.board = FakeBoard()
        self.trouble = None  # (number of the carrier's call in this life, what happens)
        self.carrier_calls = 0
        self.unwell = {}  # {file: what its health command says}
        self.refuses = ""  # what the boot loader says to each file
        self.observations = []  # what the board tells next
        self.agent = None
        self.shares_power = False  # the board is reset whenever the gateway loses its power

    def trouble_now(self):
        self.carrier_calls += 1
        number, what = self.trouble or (0, "")
        return what if number == self.carrier_calls else ""

    def on_trial(self):
        """The file that the journal says is on trial."""
        record = self.durable()
        return record["banks"][1 - record["live"]]["files"][0]["sha256"]

    def counted(self):
        found, self.observations = self.observations, []
        return found

    def boot(self):
        self.off = False
        self.calls = self.carrier_calls = 0
        if self.shares_power:
            self.board.reset()
        clock, link = FakeClock(self), FakeLink(self)
        board = Board(
            self.carrier_class(self), asyncio.Lock(), FakeJournal(self, self.folder, "known")
        )
        around = CarrierPorts(
            FakeJournal(self, self.folder, "digits"),
            FakeBanks(self, self.folder),
            board,
            FakeFetcher(self),
            CarrierHooks(board, "pi-1"),
            clock,
            HostPatcher(),
        )
        root, problem = root_store.newest(self.folder, ROOT)
        device = Enrolment(DEVICE.name, DEVICE.target, root)
        boots = Journal(self.folder, "device")
        walk = RootWalk(device, self.folder, clock, problem)
        self.agent = CarriedAgent(
            device, {"digits": around}, link, clock, boots, walk, "gw-1", self.folder
        )
        self.agent.optional = tuple(
            one for one in self.agent.optional if one.topic != self.agent.reported
        )
        return self.agent, self.agent.updates["digits"]

    def durable(self):
        """As in World, without copies of files: this is asked at each call."""
        found = (self.medium.synced.get(f"digits.{number}", b"") for number in (0, 1))
        whole = [_read(io.BytesIO(data), MAX_JOURNAL_BYTES) for data in found]
        return max(
            (one for one in whole if one), key=lambda one: one[0], default=(0, new_record())
        )[1]

    def check_reported(self, state):
        super().check_reported(state)
        if state["outcome"] == "SUCCEEDED":
            self.require_whole("SUCCEEDED is reported")

    def require_whole(self, when):
        """The board runs the confirmed file that the journal says serves."""
        record = self.durable()
        entry = record["banks"][record["live"]]
        wanted = entry["files"][0]["sha256"] if entry else FACTORY
        found = (self.board.runs, self.board.is_confirmed)
        if found != (wanted, True):
            self.fault(f"{when}: the board runs {found}, the journal says {wanted[:8]}")

    def is_whole(self):
        record = self.durable()
        entry = record["banks"][record["live"]]
        wanted = entry["files"][0]["sha256"] if entry else FACTORY
        return (self.board.runs, self.board.is_confirmed) == (wanted, True)


def settled(world, seq):
    """Returns a condition: order `seq` has its outcome, nothing goes on, and the board, if it needs
    the keeper for that, is as it should be."""

    def done(update):
        if not world.reports:
            return False
        if world.agent.boards["digits"].known is None:
            world.agent.poke()
        state = world.last_report()
        if state["seq"] != seq or not state["outcome"] or state["state"] != "idle":
            return False
        if update.work.busy():
            return False
        if world.is_whole():
            return True
        world.agent.poke()
        return False

    return done


def until_settled(world, seq, cut_at=None):
    world.reports.clear()
    return asyncio.run(live(world, settled(world, seq), cut_at))


def carried(folder, *before, world=CarriedWorld):
    """A world whose board has had the releases `before`, one order each."""
    folder.mkdir(exist_ok=True)
    made = world(folder)
    for seq, release in enumerate(before, 1):
        made.files.update(release.files)
        made.retained[TOPIC] = signing.order(release, seq)
        assert until_settled(made, seq)
    made.board.told.clear()
    made.board.flashed.clear()
    return made


def _bytes_of(path):
    return Path(path).read_bytes()
