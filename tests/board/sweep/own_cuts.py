"""The power goes at each write and each erase while a board updates its agent: what it starts
then, and what comes of the update. A scenario has several lives, as a new agent is started by a
reset; a *point* is one operation of one of them, with one mode of damage (flash.py). The lives
after it go on to the end of the update (own_lives.py)."""

from itertools import pairwise

from modelwave_shared.agent_releases import AGENT
from tests import signing
from tests.board.agent_releases import agent_release
from tests.board.sweep.cuts import IMAGE_BYTES, Point, each
from tests.board.sweep.fat import Fat
from tests.board.sweep.own_lives import Lives, NoEnd, life_of


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

    def __init__(self, folder, filesystem, name, verdicts, late=False):
        """As cuts.Sweep's."""
        self.filesystem = filesystem
        before, release, self.outcome, self.version = SCENARIOS[name]
        self.old_version = str(before[-1].document["release"]) if before else "0"
        self.seq = len(before) + 1
        self.lives = Lives(folder, filesystem, verdicts, late)
        for one in (FIRST, GOOD, BROKEN):
            for sha256, data in one.files.items():
                self.lives.file(f"files/{sha256}", data)
        trial = {"seconds": 0, "inferences": 0}
        for seq, one in enumerate([*before, release], 1):
            self.lives.file(f"order-{seq}", signing.order(one, seq, model=AGENT, trial=trial))
        root = self.lives.file("root", signing.root_envelope())
        image = self.lives.made("format", b"\xff" * IMAGE_BYTES, 0, format=str(root))[1]
        for seq in range(1, self.seq):
            said, image = self.lives.to_the_end("before", image, seq)
            assert said[-1]["end"]["outcome"] == "SUCCEEDED", said
        self.traces = self.lives.traces("told", image, self.seq)
        end = self.traces[-1].said["end"]
        assert end["outcome"] == self.outcome, end
        self.operations = sum(map(len, self.traces))

    def run(self, mode, numbers, again=0):
        """[Point]. `again`: operation of the lives after the cut at which the power goes once
        more, if they come so far."""
        return list(each(lambda number: self.point(mode, number, again), numbers))

    def point(self, mode, number, again=0):
        """The operation `number`, counted from 1 through all lives."""
        trace, left = life_of(self.traces, number)
        image, before = trace.cut(mode, left)
        said, found = [before], []
        try:
            if again:
                image, between = self._again(mode, number, image, again)
                said += between
            said += self.lives.to_the_end(f"{mode}-{number}", image, self.seq)[0]
        except NoEnd as error:
            found.append(str(error))
            said += error.said
        for one, other in pairwise(said):
            if "boot" in other:  # it may be cut before that
                found += self._at_boot(other["boot"])
                found += self._untrue(one["reports"], other["boot"])
        if "end" in said[-1]:
            found += self._at_the_end(said[-1]["end"])
        point = Point(mode, number, found)
        if self.filesystem == "fat":
            point.where = Fat(trace.after).area(before["cut"])
        return point

    def _again(self, mode, number, image, again):
        """(the medium after another cut, [what the lives to it said]), if they come so far."""
        traces = self.lives.traces(f"{mode}-{number}", image, self.seq)
        cut = life_of(traces, again)
        if not cut:
            return image, []
        trace, left = cut
        image, last = trace.cut(mode, left)
        return image, [one.said for one in traces[: traces.index(trace)]] + [last]

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
