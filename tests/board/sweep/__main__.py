"""The sweep of power cuts, as a table (`make boards-sweep`), whole or in parts. Ends with 1 if
anything failed that must hold, or if the wrong order of writes did not. Ctrl-C stops it; with
--results the same command goes on then."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.board.sweep.cuts import FILESYSTEMS, SCENARIOS, Sweep, each, unexpected
from tests.board.sweep.flash import MODES
from tests.board.sweep.own_cuts import SCENARIOS as OWN_SCENARIOS
from tests.board.sweep.own_cuts import OwnSweep
from tests.board.sweep.results import Results

ALL_SCENARIOS = (*SCENARIOS, *OWN_SCENARIOS)
LATE_FILESYSTEMS, LATE_SCENARIOS = ("lfs2", "fat"), ("update", "failed health", "broken agent")
HEAD = """\
| file system | scenario | damage | points | failures | of these in FAT's own accounts |
| --- | --- | --- | ---: | ---: | ---: |"""
RIGHT, WRONG = "The journal is written first:", "On purpose it is written last:"
MEMORY = "/dev/shm"  # thousands of images are written and read once
INTERRUPTED = 130
STEP = 50  # points between two lines of progress


def main(arguments=None):
    told = _parser().parse_args(arguments)
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    try:
        with tempfile.TemporaryDirectory(dir=memory) as folder, Results(told.results) as results:
            sweeps = Sweeps(Path(folder), results)
            right = sweeps.table(RIGHT, told.fs, told.scenario, told.mode, late=False)
            filesystems = [one for one in LATE_FILESYSTEMS if one in told.fs]
            names = [one for one in LATE_SCENARIOS if one in told.scenario]
            wrong = sweeps.table(WRONG, filesystems, names, told.mode, late=True)
    except KeyboardInterrupt:
        said = "the same command goes on" if told.results else "with --results FILE it could go on"
        print(f"\nstopped; {said}", file=sys.stderr)
        return INTERRUPTED
    return 1 if any(right) or not all(wrong) else 0


def _parser():
    parser = argparse.ArgumentParser(prog="python -m tests.board.sweep", description=__doc__)
    for name, values in (("fs", FILESYSTEMS), ("mode", MODES)):
        parser.add_argument(f"--{name}", nargs="+", choices=values, default=values)
    parser.add_argument(
        "--scenario",
        nargs="+",
        type=lambda name: name.replace("-", " "),
        choices=ALL_SCENARIOS,
        default=ALL_SCENARIOS,
        help="may be written with a hyphen",
    )
    parser.add_argument("--results", metavar="FILE", help="keeps each point, and runs it once")
    return parser


class Sweeps:
    def __init__(self, folder, results):
        self.folder = folder
        self.results = results
        self.verdicts = folder / "verdicts"
        self.verdicts.mkdir()

    def table(self, title, filesystems, names, modes, late):
        """Prints it; how often each sweep failed, FAT's own failures apart."""
        if filesystems and names:
            print(f"\n{title}\n\n{HEAD}", flush=True)
        return [self._rows(one, name, modes, late) for one in filesystems for name in names]

    def _rows(self, filesystem, name, modes, late):
        """Prints those of one sweep; its failures, FAT's own apart."""
        count = 0
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            sweep = self._sweep(Path(folder), filesystem, name, late)
            for mode in modes:
                points = self._points(sweep, (filesystem, name, mode, late))
                failed = sum(bool(point.faults) for point in points)
                ours = unexpected(points)
                count += len(ours)
                cells = (filesystem, name, mode, len(points), failed, failed - len(ours))
                print("| " + " | ".join(map(str, cells)) + " |", flush=True)
                if not late:
                    for point in ours:
                        print(point, file=sys.stderr)
        return count

    def _sweep(self, folder, filesystem, name, late):
        if name in OWN_SCENARIOS:
            return OwnSweep(folder, filesystem, name, self.verdicts, late)
        return Sweep(folder, filesystem, name, self.verdicts, late)

    def _points(self, sweep, part):
        """All of a part; those that the results have not yet are run."""
        done = self.results.of(*part)
        wanted = range(1, sweep.operations + 1)
        left = [number for number in wanted if number not in done]
        for point in each(lambda number: sweep.point(part[2], number), left):
            self.results.add(point, *part)
            done = self.results.of(*part)
            if len(done) % STEP == 0:
                words = f"{', '.join(part[:3])}: {len(done)} of {len(wanted)}"
                print(words, file=sys.stderr, flush=True)
        return [done[number] for number in wanted]


if __name__ == "__main__":
    sys.exit(main())
