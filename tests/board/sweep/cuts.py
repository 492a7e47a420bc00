"""The power goes at each write and each erase of a scenario: what a new process finds then.

A *point* is one operation of the medium with one mode of damage (flash.py). The scenario runs
to it on a copy of its image and dies there by SIGKILL; a new process mounts that image, boots
the agent, which first has no network, then gets its order again and goes on to the end. Both
say what they see (device.py); `faults` judges it here, apart from the agent's code.
"""

import json
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from tests import signing
from tests.agent.root_chain import NEW_KEY, document
from tests.board.sweep import compiled
from tests.board.sweep.fat import Fat
from tests.board.sweep.flash import MODES
from tests.board.sweep.forks import Forks

PROGRAM = "device.py"
IMAGE_BYTES = 48 * 4096
WORKERS = 2
# lfs2 writes pages of 256 bytes as an RP2040 has it, lfs2-32 pieces of 32 as an ESP32 has it.
FILESYSTEMS = ("lfs2", "lfs2-32", "fat")
FAT_ACCOUNTS = ("table", "root", "directory")

CONTENTS = (b"1st model ", b"old model ", b"new model ", b"BAD model ")
FIRST, OLD, GOOD, BAD = (
    signing.Release(number, content * 600, target="rp2040")
    for number, content in enumerate(CONTENTS, 1)
)


class Scenario:
    """What is ordered on an image that went through `before`, and what must come of it."""

    def __init__(self, before, release, outcome, ends_with, root=None, **order):
        """`root`: a new root of trust that comes before the order. `order`: of its fields."""
        self.root = root
        self.order = order
        self.before = before
        self.release = release
        self.outcome = outcome
        self.ends_with = ends_with.document["release"]
        self.seq = len(before) + 1

    @property
    def first_served(self):
        return self.before[-1].document["release"] if self.before else 0


SCENARIOS = {
    # On a file system that has the root alone: folders and journals are made as well.
    "first": Scenario([], FIRST, "SUCCEEDED", FIRST),
    # From here on both banks hold something.
    "update": Scenario([FIRST, OLD], GOOD, "SUCCEEDED", GOOD),
    "failed health": Scenario([FIRST, OLD], BAD, "ROLLED_BACK", OLD),
    "revert": Scenario([FIRST, OLD], FIRST, "SUCCEEDED", FIRST),
    # The order's key and epoch are those of the new root.
    "new root": Scenario(
        [FIRST, OLD],
        GOOD,
        "SUCCEEDED",
        GOOD,
        signing.root_envelope(document(2, NEW_KEY, epoch=1)),
        key=NEW_KEY,
        epoch=1,
    ),
}


class Sweep:
    """All points of one scenario on one file system."""

    def __init__(self, folder, filesystem, name, verdicts, late=False):
        """`folder`: an empty one of its own. `verdicts`: one that sweeps may share (device.py).
        `late`: with the journal written last."""
        self.folder = folder
        self.filesystem = filesystem
        self.scenario = SCENARIOS[name]
        self.verdicts = verdicts
        self.late = late
        self.forks = Forks(compiled.program(verdicts / "compiled", PROGRAM))
        for release in (FIRST, OLD, GOOD, BAD):
            for sha256, data in release.files.items():
                self._file("files", sha256, data)
        root = self._file(".", "root", signing.root_envelope())
        new_root = self.scenario.root
        self.new_root = self._file(".", "new-root", new_root) if new_root else None
        self.pristine = self._file(".", "pristine", b"\xff" * IMAGE_BYTES)
        self._whole_life("format", self.pristine, 1, format=str(root))
        trial = {"seconds": 0, "inferences": 0}
        for seq, release in enumerate([*self.scenario.before, self.scenario.release], 1):
            own = self.scenario.order if seq == self.scenario.seq else {}
            self._file(".", f"order-{seq}", signing.order(release, seq, trial=trial, **own))
            if seq < self.scenario.seq:
                said = self._whole_life("before", self.pristine, seq)
                assert said["end"]["outcome"] == "SUCCEEDED", said
        # Where each operation of a life writes is the same each time.
        self.uncut = self._file(".", "uncut", self.pristine.read_bytes())
        said = self._whole_life("uncut", self.uncut, self.scenario.seq, late=late)
        self.operations = said["end"]["operations"]

    def run(self, mode, numbers, again=0):
        """[Point] for the operations `numbers`; `again`: operation of the second life at which
        the power goes once more, if it comes so far."""
        return list(each(lambda number: self.point(mode, number, again), numbers))

    def point(self, mode, number, again=0):
        name = f"{mode}-{number}"
        image = self.folder / f"{name}.image"
        shutil.copy(self.pristine, image)
        seq = self.scenario.seq
        lives = [self._life(name, image, seq, cut_at=number, mode=mode, late=self.late)]
        assert lives[0].returncode == -signal.SIGKILL, lives[0].stderr
        if again:
            lives.append(self._life(name, image, seq, cut_at=again, mode=mode, late=self.late))
        lives.append(self._life(name, image, seq))
        point = Point(mode, number, self._faults(lives))
        point.fetched = lines(lives[-1]).get("end", {}).get("fetched", 0)
        if self.filesystem == "fat":
            point.where = Fat(self.uncut.read_bytes()).area(lines(lives[0])["cut"])
            point.lost_bytes = Fat(image.read_bytes()).lost_bytes()
        image.unlink()
        return point

    def _faults(self, lives):
        """What is wrong with what the lives of a point said; [] if nothing is."""
        for life in lives[1:]:
            if life.returncode not in (0, -signal.SIGKILL):
                return ["ended by " + (life.stderr.strip().splitlines() or ["nothing said"])[-1]]
        said = [lines(life) for life in lives]
        found = []
        for before, after in pairwise(said):
            if "boot" in after:  # it may be cut before that
                found += self._at_boot(after["boot"])
                found += self._untrue(before["reports"], after["boot"])
        return [*found, *self._at_the_end(said[-1]["end"])]

    def _at_boot(self, boot):
        """Before any network: a whole, proven model."""
        scenario = self.scenario
        if boot["damage"]:
            yield f"at boot: serves a damaged {boot['damage']}"
        if boot["served"] != scenario.first_served and not (
            boot["served"] == scenario.ends_with and boot["confirmed"]
        ):
            yield f"at boot: serves release {boot['served']}, confirmed: {boot['confirmed']}"
        if boot["served"] and not boot["confirmed"]:
            yield "at boot: serves what the journal does not confirm"

    def _untrue(self, reports, boot):
        """What reports from before the cut said that the medium does not say now."""
        for report in reports:
            state = report["models"]["digits"]
            outcome, seq = state["outcome"], state["seq"]
            if report["boot"] >= boot["boot"]:
                yield f"at boot: boot {boot['boot']} again"
            if report["extra"]["root"] > boot["root"]:
                yield f"reported root {report['extra']['root']}, {boot['root']} is trusted"
            if seq > boot["order"]["seq"]:
                yield f"reported order {seq}, the journal knows {boot['order']['seq']}"
            if seq == self.scenario.seq and outcome not in ("", boot["outcome"]):
                yield f"reported {outcome}, the journal says {boot['outcome'] or 'nothing'}"

    def _at_the_end(self, end):
        scenario = self.scenario
        wanted = (scenario.outcome, scenario.ends_with, "", True, "idle")
        found = (end["outcome"], end["served"], end["damage"], end["confirmed"], end["state"])
        if found != wanted:
            yield f"at the end: {found} {end['reason']}"
        if end["root"] != (2 if scenario.root else 1):
            yield f"at the end: root {end['root']}"
        if end["blacklist"] != ([BAD.digest] if scenario.release is BAD else []):
            yield f"at the end: blacklist {end['blacklist']}"

    def _whole_life(self, *about, **changes):
        """What a life said that nothing cut short."""
        life = self._life(*about, **changes)
        assert life.returncode == 0, life.stderr
        return lines(life)

    def _life(self, name, image, seq, *, format=None, cut_at=0, mode="", late=False):
        """The finished process of one life."""
        root = str(self.new_root) if self.new_root and seq == self.scenario.seq else None
        told = {"image": str(image), "format": format, "cut_at": cut_at, "mode": mode, "seq": seq}
        return finished(self, name, told | {"late": late, "root": root})

    def _file(self, folder, name, data):
        path = self.folder / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path


def each(point, numbers):
    """Yields point(number) of each, in their order. If it is left early, those that have not begun
    do not begin. A Ctrl-C does not reach the processes of lives: they would be points that fail."""
    pool = ThreadPoolExecutor(WORKERS, initializer=_block_interrupts)
    try:
        yield from pool.map(point, numbers)
    finally:
        pool.shutdown(cancel_futures=True)


def _block_interrupts():
    """In this thread and in the processes that it starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def finished(sweep, name, told):
    """The finished process of one life of a board, from the file of what it is `told`."""
    path = sweep.folder / f"{name}.json"
    places = {
        "filesystem": sweep.filesystem,
        "files": str(sweep.folder / "files"),
        "verdicts": str(sweep.verdicts),
        "order": str(sweep.folder / f"order-{told['seq']}"),
    }
    path.write_text(json.dumps(told | places))
    try:
        return sweep.forks.run(path)
    finally:
        path.unlink()


class Point:
    """`faults`: [] if all was well. `fetched`: bytes that the second life asked for. On FAT,
    `where`: the area that was hit, `lost_bytes`: what nothing refers to any more in the end."""

    def __init__(self, mode, number, faults):
        self.mode = mode
        self.number = number
        self.faults = faults
        self.fetched = 0
        self.where = ""
        self.lost_bytes = 0

    def __repr__(self):
        return f"{self.mode} {self.number} {self.where}: {'; '.join(self.faults)}"


def numbers(operations, mode, step):
    """Every `step`-th operation, others in each mode."""
    first = 1 + MODES.index(mode) * step // len(MODES)
    return range(first, operations + 1, step)


def unexpected(points):
    """Those with faults, but for garbage where FAT keeps its own accounts: it writes them in
    place and has no second copy, so whatever stands above it has lost them."""
    return [
        point
        for point in points
        if point.faults and not (point.mode == "garbage" and point.where in FAT_ACCOUNTS)
    ]


def lines(process):
    """What a life said: {reports: [...], boot, cut, end}, as far as it came."""
    said = {"reports": []}
    for line in process.stdout.splitlines():
        for what, value in json.loads(line).items():
            if what == "report":
                said["reports"].append(value)
            else:
                said[what] = value
    return said
