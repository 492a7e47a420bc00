"""The lives of a board from a medium to the end of its scene: those of a real MicroPython with its
own littlefs and FAT (sweep/device.py), each kind lived once (known.py)."""

import json
import signal

from tests import signing
from tests.board.sweep import compiled
from tests.board.sweep.facts import Facts
from tests.board.sweep.flash import TOLD
from tests.board.sweep.forks import Forks
from tests.board.sweep.known import Known
from tests.board.sweep.releases import BAD

# lfs2 writes pages of 256 bytes as an RP2040 has it, lfs2-32 pieces of 32 as an ESP32 has it.
FILESYSTEMS = ("lfs2", "lfs2-32", "fat")
IMAGE_BYTES = 48 * 4096
MAX_LIVES = 12
ERASED = b"\xff" * 4096


class Life:
    """What a life did until its end, or the reset of the board. `boot`, `end`: what it said then,
    if it came so far; `problem`: how it ended in another way."""

    def __init__(self, process, scene):
        self.reads = []  # the units that were read together, in their order
        self.operations = []  # [(at, data, the Facts before it)]
        self.facts = Facts()
        self.boot = self.end = None
        self.is_reset = False
        for line in process.stdout.splitlines():
            for what, value in json.loads(line).items():
                self._said(what, value, scene)
        self.problem = ""
        if not self.end and not self.is_reset:
            self.problem = f"ended by {_ended(process)}"

    def _said(self, what, value, scene):
        if what == "read":
            self.reads.append(tuple(value))
        elif what == "operation":
            data = bytes.fromhex(value[1])
            data = ERASED if data == ERASED else data  # many erases are held once
            self.operations.append((value[0], data, self.facts))
        elif what == "boot":
            self.boot = value
        elif what == "end":
            self.end = value
        elif what == "reset":
            self.is_reset = True
        else:
            self.facts = self.facts.with_(what, value, scene.model, scene.last)

    def after(self, image, goes_on=lambda facts: True):
        """The medium after it, or after those of its operations before which this can be said."""
        made = bytearray(image)
        for at, data, facts in self.operations:
            if not goes_on(facts):
                break
            made[at : at + len(data)] = data
        return made


def _ended(process):
    if process.returncode < 0:
        return signal.Signals(-process.returncode).name
    return (process.stderr.strip().splitlines() or ["nothing said"])[-1]


class Lives:
    """Those of the board of one scene on one file system."""

    def __init__(self, folder, verdicts, filesystem, scene, is_late=False):
        """`folder`: an empty one of its own. `verdicts`: one that all may share (device.py).
        `is_late`: with the journal written last."""
        self.folder, self.filesystem, self.scene, self.is_late = folder, filesystem, scene, is_late
        self.forks = Forks(compiled.program(verdicts / "compiled", scene.program))
        self.known = {}  # {orders: Known}
        self.lived = 0
        self.image = folder / "image"
        self.told = {
            "filesystem": filesystem,
            "image": str(self.image),
            "files": self._file("files"),
            "verdicts": str(verdicts),
            "mode": TOLD,
            **dict.fromkeys(("format", "supersedes")),
            **dict.fromkeys(("cut_at", "late", "has_times"), 0),
            "roots": [],
        }
        (folder / "files").mkdir()
        for release in scene.releases:
            for sha256, data in release.files.items():
                (folder / "files" / sha256).write_bytes(data)
        for number in range(1, scene.last + 1):
            (folder / f"order-{number}").write_bytes(scene.payload(number))
        for number, root in enumerate([signing.root_envelope(), *scene.roots], 1):
            (folder / f"root-{number}").write_bytes(root)

    def start(self):
        """The medium on which the scene begins."""
        self.image.write_bytes(b"\xff" * IMAGE_BYTES)
        made = self._process(format=self._file("root-1"), mode="")
        assert made.returncode == 0, made.stderr
        medium = self.image.read_bytes()
        for number, release in enumerate(self.scene.before, 1):
            lives, problem = self._lives(medium, (number, number))
            assert not problem, problem
            wanted = "ROLLED_BACK" if release is BAD else "SUCCEEDED"
            assert lives[-1].end["outcome"] == wanted, lives[-1].end
            for life in lives:
                medium = life.after(medium)
        if self.scene.received:
            life = self.to_the_end(medium, Facts())[0][0]
            medium = life.after(medium, lambda facts: facts.received < self.scene.received)
        return bytes(medium)

    def to_the_end(self, image, facts):
        """([Life] on the medium `image`, why there is no end). `facts`: of the lives before."""
        last = self.scene.last
        first = last if facts.phase else len(self.scene.before) + 1
        return self._lives(image, (first, last))

    def _lives(self, image, orders):
        """`orders`: the numbers of the first and of the last one that comes."""
        found = []
        while len(found) < MAX_LIVES:
            known = self.known.setdefault(orders, Known())
            life = known.find(image)
            if life is None:
                life = self.live(image, orders)
                known.add(image, life)
            found.append(life)
            if not life.is_reset:
                return found, life.problem
            image = life.after(image)
        return found, f"no end after {MAX_LIVES} lives"

    def live(self, image, orders):
        """Lives on the medium, whether such a life is known or not."""
        self.lived += 1
        return Life(self.process(image, orders), self.scene)

    def process(self, image, orders, **told):
        """The finished process of a life on the medium, which stands in the file `self.image` then.
        `told`: what it is told besides (device.py)."""
        self.image.write_bytes(image)
        first, last = orders
        scene, given = self.scene, {"seq": last, "order": self._file(f"order-{first}")}
        if first != last:
            given["supersedes"] = self._file(f"order-{last}")
        if last == scene.last:
            given["late"] = self.is_late
            given["roots"] = [self._file(f"root-{2 + at}") for at in range(len(scene.roots))]
        return self._process(**given | told)

    def _process(self, **told):
        path = self.folder / "life.json"
        path.write_text(json.dumps(self.told | told))
        return self.forks.run(path)

    def _file(self, name):
        return str(self.folder / name)
