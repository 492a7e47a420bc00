"""Cuts the power at each write and each erase of a board's flash, in every scene on littlefs and on
FAT, once and twice, and ends with one line. Exits with 1 if littlefs has a case that is bad, or FAT
one of a kind that it is not known for.

    python -m tests.board.sweep [--pairs N] [--jobs N] [WHAT ...]
    python -m tests.board.sweep --case "half 37, rot 12" lfs2/update
"""

import argparse
import os
import signal
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.arguments import one_of, whole
from tests.board.sweep import compiled
from tests.board.sweep.cuts import Count, Sweep
from tests.board.sweep.lives import FILESYSTEMS, Lives
from tests.board.sweep.scenes import SCENES
from tests.ending import INTERRUPTED

MEMORY = "/dev/shm"  # thousands of images are written and read once
SHOWN_EACH = 5000  # cuts between two lines of progress
ALL = [f"{filesystem}/{name}" for filesystem in FILESYSTEMS for name in SCENES]


class Stopped(Exception):
    """No more is wanted."""


class Runs:
    """The sweeps of many scenes, on some threads."""

    def __init__(self, folder, pairs):
        self.folder, self.pairs = Path(folder), pairs
        self.verdicts = self.folder / "verdicts"
        self.verdicts.mkdir()
        for scene in SCENES.values():  # before the threads, which share them
            compiled.program(self.verdicts / "compiled", scene.program)
        self.is_stopped = threading.Event()
        self.counts = {}  # {what: Count}

    def sweep(self, what):
        """The Sweep of what is asked for, such as lfs2/update."""
        filesystem, name = what.split("/")
        folder = self.folder / what.replace("/", "-")
        folder.mkdir()
        count = self.counts[what] = Count()
        shown = 0

        def tick():
            nonlocal shown
            if self.is_stopped.is_set():
                raise Stopped
            if count.double >= shown + SHOWN_EACH:
                shown = count.double
                print(f"    {what}: {count.line()} so far", flush=True)

        return Sweep(Lives(folder, self.verdicts, filesystem, SCENES[name]), count, tick)

    def run(self, what):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # it is for the first thread
        try:
            self.sweep(what).run(self.pairs)
        except Stopped:
            pass
        return what

    def all(self, wanted, jobs):
        """Runs them, and prints a line for each."""
        pool = ThreadPoolExecutor(jobs)
        try:
            for done in as_completed([pool.submit(self.run, what) for what in wanted]):
                self.tell(done.result())
        finally:
            self.is_stopped.set()
            pool.shutdown(cancel_futures=True)

    def tell(self, what):
        count = self.counts[what]
        print(f"{what}: {count.line()}; {count.lived} lives", flush=True)
        for fault, cases in count.faults.items():
            print(f'    {fault}: --case "{cases[0]}" {what}')

    def total(self, is_fat):
        total = Count()
        for what, count in self.counts.items():
            if what.startswith("fat/") == is_fat:
                total.add(count)
        return total

    def end(self):
        """Prints the last lines; returns the exit status."""
        littlefs, fat = self.total(False), self.total(True)
        for kind, number in sorted(fat.known.items()):
            print(f"FAT, {kind}: {number}")
        print(f"littlefs: {littlefs.line()}; FAT: {fat.line().replace(' cuts', '')}")
        return int(littlefs.bad + fat.bad > 0)


def main(arguments=None):
    given = _parser().parse_args(arguments)
    wanted = [one for one in ALL if not given.what or set(given.what) & {one, *one.split("/")}]
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        runs = Runs(folder, given.pairs)
        if given.case:
            return _case(runs, given.case, wanted)
        try:
            runs.all(wanted, given.jobs)
        except KeyboardInterrupt:
            print("\nended by Ctrl-C; until then:")
            runs.end()
            return INTERRUPTED
        return runs.end()


def _case(runs, case, wanted):
    """Shows what becomes of one case."""
    found = []
    for what in wanted:
        found = runs.sweep(what).only(case.split(", "))
        print(f"{what}, {case}: {'; '.join(found) or 'nothing is wrong'}")
    return int(bool(found))


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m tests.board.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--pairs", type=whole(0), default=20, help="second cuts of every N-th state; 0: none"
    )
    parser.add_argument("--jobs", type=whole(1), default=os.cpu_count(), help="scenes at once")
    parser.add_argument("--case", help="only this cut, or these two, of one WHAT")
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        type=one_of([*FILESYSTEMS, *SCENES, *ALL], "part"),
        help=f"{', '.join(FILESYSTEMS)}, a scene, or both as {ALL[1]}; all, if none is named",
    )
    return parser
