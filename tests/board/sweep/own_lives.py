"""The lives of a board that updates its agent (own_device.py).

What a life does depends on its medium and its order alone. So a life that nothing cuts tells its
operations, and the medium after each cut in it is put together from them; and of cuts that leave
the same medium, byte for byte, the lives that follow run once."""

import hashlib
import json
import zlib

from tests.board.sweep import compiled
from tests.board.sweep.cuts import finished, lines
from tests.board.sweep.flash import TOLD
from tests.board.sweep.forks import Forks

PROGRAM = "own_device.py"
MAX_LIVES = 12


class NoEnd(Exception):
    """The lives after a cut did not come to the end of the update. `said`: by those there were."""

    def __init__(self, problem, said):
        super().__init__(problem)
        self.said = said


class Lives:
    """Runs them, each once."""

    def __init__(self, folder, filesystem, verdicts, late):
        self.late = late
        self.folder = folder
        self.filesystem = filesystem
        self.verdicts = verdicts
        self.forks = Forks(compiled.program(verdicts / "compiled", PROGRAM))
        self.known = {}  # {seq and medium before, as a digest: (what it said, medium after)}
        self.ran = 0
        self.has_times = True  # littlefs keeps when a file was written

    def to_the_end(self, name, image, seq):
        """([what each life said], the medium in the end): until the update has its outcome."""
        said = []
        for _ in range(MAX_LIVES):
            told, image = self._known(name, image, seq)
            if "problem" in told:
                raise NoEnd(told["problem"], said)
            said.append(told)
            if "end" in told:
                return said, image
        raise NoEnd(f"no end after {MAX_LIVES} lives: {said[-1]}", said)

    def traces(self, name, image, seq):
        """[Trace] of the lives of an update that nothing cuts."""
        found = []
        for _ in range(MAX_LIVES):
            process, after = self.made(name, image, seq, mode=TOLD)
            found.append(Trace(image, after, process.stdout))
            if "end" in found[-1].said:
                return found
            image = after
        raise NoEnd(f"no end after {MAX_LIVES} lives: {process.stderr.strip()[-300:]}", [])

    def _known(self, name, image, seq):
        key = hashlib.sha256(b"%d " % seq + image).digest()
        if key not in self.known:
            process, after = self.made(name, image, seq)
            said = lines(process)
            if "end" not in said and "reset" not in said:
                said["problem"] = f"ended by {process.stderr.strip()[-300:]}"
            self.known[key] = said, zlib.compress(after, 1)
        said, after = self.known[key]
        return said, zlib.decompress(after)

    def made(self, name, image, seq, *, format=None, cut_at=0, mode=""):
        """(the finished process of one life on this medium, the medium after it)."""
        path = self.file(f"{name}.image", image)
        told = {"image": str(path), "format": format, "cut_at": cut_at, "mode": mode, "seq": seq}
        told |= {"has_times": self.has_times, "late": self.late and mode != ""}
        try:
            process = finished(self, name, told)
            self.ran += 1
            return process, path.read_bytes()
        finally:
            path.unlink()

    def file(self, name, data):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path


class Trace:
    """What a life that nothing cut did, in its order."""

    def __init__(self, image, after, printed):
        """`image`, `after`: the medium before and after it. `printed`: by its process."""
        self.image = image
        self.after = after
        self.operations = []  # [(at, data, {mode: what a cut leaves}, what it had said)]
        self.said = {"reports": []}
        for line in printed.splitlines():
            for what, value in json.loads(line).items():
                if what == "operation":
                    self.operations.append((*value, self.said))
                elif what == "report":
                    self.said = self.said | {"reports": [*self.said["reports"], value]}
                else:
                    self.said = self.said | {what: value}

    def __len__(self):
        return len(self.operations)

    def cut(self, mode, number):
        """(the medium, what the life had said) after a cut at this operation, counted from 1."""
        image = bytearray(self.image)
        for at, data, _, _ in self.operations[: number - 1]:
            _put(image, at, data)
        at, _, left, said = self.operations[number - 1]
        _put(image, at, left[mode])
        return bytes(image), {**said, "cut": at}


def life_of(traces, number):
    """The trace that has this operation, counted from 1 through all lives, and which of that
    life's operations it is; None if there are fewer."""
    for trace in traces:
        if number <= len(trace):
            return trace, number
        number -= len(trace)
    return None


def _put(image, at, data):
    found = bytes.fromhex(data)
    image[at : at + len(found)] = found
