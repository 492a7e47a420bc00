"""Cuts the power in every scene of the device and the controller's files, once and twice, and ends
with one line. Exits with 1 if a cut left what it must not.

    python -m tests.disk [--pairs N] [--kills N] [SCENE ...]
"""

import argparse
import sys

from tests.disk import scenes, writers
from tests.disk.device import Facts
from tests.disk.mounted import patched
from tests.disk.scenes import SCENES
from tests.disk.sweep import Count
from tests.disk.writers import WRITERS, Told

PAIRED = 12  # histories at random with second cuts
LARGE = {"new home": 10}  # of so many more first cuts the second ones are made


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.disk", description="Cut the power everywhere.")
    parser.add_argument("--pairs", type=int, default=1, help="second cuts of every N-th first one")
    parser.add_argument("--kills", type=int, default=1, help="a kill at every N-th moment")
    parser.add_argument("--histories", type=int, default=150, help="scenes at random")
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help="all, unless some are named")
    given = parser.parse_args()
    total = Count()
    with patched():
        for name in given.scenes or [*SCENES, *WRITERS]:
            count = Count()
            fewer = LARGE.get(name, 1)
            if name in SCENES:
                scene = SCENES[name]
                sweep, start, facts = scenes.sweep(scene, count, True), scene.start(), Facts()
            else:
                writer = WRITERS[name]
                sweep, start = writers.sweep(writer, count, True), writers.start(writer)
                facts = Told()
            sweep.run(start, facts, given.pairs * fewer, given.kills * fewer)
            if name in SCENES:
                sweep.meet(start, facts, given.kills)
            print(f"{name}: {count.line()}", flush=True)
            for fault, where in count.faults.items():
                print(f"    {fault}: {where[0]}")
            total.add(count)
        if not given.scenes:
            count = Count()
            for seed in range(given.histories):
                scene = scenes.history(seed)
                pairs = given.pairs if seed < PAIRED else 0
                scenes.sweep(scene, count, True).run(scene.start(), Facts(), pairs)
            print(f"{given.histories} histories at random: {count.line()}", flush=True)
            total.add(count)
    print(f"the disk that forgets: {total.line()}")
    return int(total.bad > 0)


if __name__ == "__main__":
    sys.exit(main())
