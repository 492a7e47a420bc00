"""The power goes at each write and each erase while a board updates its agent: what it starts
then, and what comes of the update. A scenario has several lives, as a new agent is started by a
reset; a *point* is one operation of one of them, with one mode of damage (flash.py). The lives
after it go on to the end of the update."""

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from modelwave_shared.agent_releases import AGENT
from tests import signing
from tests.board.agent_releases import agent_release
from tests.board.sweep.cuts import IMAGE_BYTES, PROGRAM, WORKERS, Point, finished, lines
from tests.board.sweep.fat import Fat

OWN_PROGRAM = PROGRAM.parent / "own_device.py"
MAX_LIVES = 12


def release(number, marker):
    """Release `number` of an agent that is this module `marker`, and what fills some pages."""
    modules = {
        "marker.py": marker.encode(),
        "modelwave_agent/board/agent.mpy": b"%d" % number * 5000,
    }
    return agent_release(number, modules, str(number))


FIRST = release(1, "VERSION = '1'\n")
GOOD = release(2, "VERSION = '2'\n")
BROKEN = release(3, "raise RuntimeError('broken')\n")

# {name: (releases before, the one that is ordered, its outcome, the version that runs in the end)}
SCENARIOS = {
    "first agent": ([], FIRST, "SUCCEEDED", "1"),
    "new agent": ([FIRST], GOOD, "SUCCEEDED", "2"),
    "broken agent": ([FIRST], BROKEN, "ROLLED_BACK", "1"),
}


class OwnSweep:
    """All points of one scenario on one file system."""

    def __init__(self, folder, filesystem, name, verdicts):
        self.folder = folder
        self.filesystem = filesystem
        self.verdicts = verdicts
        before, release, self.outcome, self.version = SCENARIOS[name]
        self.old_version = str(before[-1].document["release"]) if before else "0"
        for one in (FIRST, GOOD, BROKEN):
            for sha256, data in one.files.items():
                self._file(f"files/{sha256}", data)
        root = self._file("root", signing.root_envelope())
        image = self._file("pristine", b"\xff" * IMAGE_BYTES)
        self._life("format", image, 0, format=str(root))
        for seq, one in enumerate([*before, release], 1):
            trial = {"seconds": 0, "inferences": 0}
            self._file(f"order-{seq}", signing.order(one, seq, model=AGENT, trial=trial))
        for seq in range(1, len(before) + 1):
            assert self._to_the_end("before", image, seq)[-1]["end"]["outcome"] == "SUCCEEDED"
        self.seq = len(before) + 1
        # The medium before each life of the scenario, and how many operations it has.
        self.lives = []
        while True:
            kept = self._file(f"life-{len(self.lives)}", image.read_bytes())
            said = lines(self._life("uncut", image, self.seq))
            self.lives.append((kept, (said.get("reset") or said["end"])["operations"]))
            if "end" in said:
                break
        assert said["end"]["outcome"] == self.outcome, said
        self.operations = sum(count for _, count in self.lives)

    def run(self, mode, numbers):
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(lambda number: self.point(mode, number), numbers))

    def point(self, mode, number):
        """The operation `number`, counted from 1 through all lives."""
        left, life = number, 0
        while left > self.lives[life][1]:
            left, life = left - self.lives[life][1], life + 1
        kept = self.lives[life][0]
        image = self.folder / f"{mode}-{number}.image"
        shutil.copy(kept, image)
        cut = self._life(f"{mode}-{number}", image, self.seq, cut_at=left, mode=mode)
        assert cut.returncode == -signal.SIGKILL, cut.stderr
        said = [lines(cut)]
        assert "cut" in said[0], said
        found = []
        try:
            said += self._to_the_end(f"{mode}-{number}", image, self.seq)
        except AssertionError as error:
            found.append(str(error))
        for before, after in pairwise(said):
            if "boot" in after:
                found += self._at_boot(after["boot"])
                found += self._untrue(before["reports"], after["boot"])
        if not found:
            found += self._at_the_end(said[-1]["end"])
        point = Point(mode, number, found)
        if self.filesystem == "fat":
            point.where = Fat(kept.read_bytes()).area(said[0]["cut"])
        image.unlink()
        return point

    def _at_boot(self, boot):
        if boot["damage"]:
            yield f"at boot: the package of bank {boot['place']} is damaged: {boot['damage']}"
        if not boot["confirmed"] and not boot["on_trial"]:
            yield f"at boot: bank {boot['place']} is neither confirmed nor on trial"
        if boot["version"] not in (self.old_version, self.version):
            yield f"at boot: agent {boot['version']} runs"

    def _untrue(self, reports, boot):
        """What reports said that the medium does not say now."""
        for report in reports:
            state = report["models"][AGENT]
            if state["seq"] == self.seq and state["outcome"] not in ("", boot["outcome"]):
                yield f"reported {state['outcome']}, the journal says {boot['outcome']}"

    def _at_the_end(self, end):
        found = (end["outcome"], end["version"], end["damage"], end["confirmed"], end["state"])
        if found != (self.outcome, self.version, "", True, "idle"):
            yield f"at the end: {found} {end['reason']}"

    def _to_the_end(self, name, image, seq):
        """What the lives said until the update had its outcome."""
        said = []
        for _ in range(MAX_LIVES):
            life = self._life(name, image, seq)
            told = lines(life)
            assert "end" in told or "reset" in told, f"ended by {life.stderr.strip()[-300:]}"
            said.append(told)
            if "end" in told:
                return said
        raise AssertionError(f"no end after {MAX_LIVES} lives: {said[-1]}")

    def _life(self, name, image, seq, *, format=None, cut_at=0, mode=""):
        """The finished process of one life."""
        told = {"image": str(image), "format": format, "cut_at": cut_at, "mode": mode, "seq": seq}
        return finished(self, OWN_PROGRAM, name, told)

    def _file(self, name, data):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path
