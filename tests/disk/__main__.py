"""Cuts the power in every scene of the device and of the controller's files, once and twice, and
lets the disk refuse every operation. Ends with one line, and exits with 1 if something was left
that must not be.

    python -m tests.disk [--pairs N] [--kills N] [--errors N] [--histories N] [SCENE ...]

A scene may also be a history at random, such as "history 17".
"""

import argparse
import sys

from tests.disk.device import LOOP
from tests.disk.every import HISTORY, LARGE, NAMES, begun, is_scene
from tests.disk.mounted import patched
from tests.disk.sweep import Count
from tests.ending import end_at_sigterm

PAIRED = 12  # histories at random with second cuts


def main() -> int:
    given = _arguments()
    total, is_ended = Count(), False
    alone = tuple(f"{HISTORY}{seed}" for seed in range(given.histories))
    try:
        with patched():
            for name in given.scenes or (*NAMES, *alone):
                _sweep(name, given, total)
    except KeyboardInterrupt:
        is_ended = True
        LOOP.set_exception_handler(lambda *_: None)  # of the life that is left where it was
        print("ended by Ctrl-C, before its end")
    print(f"disk: {total.line()}")
    return int(is_ended or total.bad > 0)


def _sweep(name: str, given: argparse.Namespace, total: Count) -> None:
    count = Count(tell=lambda line: print(f"  {name}, so far: {line}", flush=True))
    fewer = LARGE.get(name, 1)
    pairs, kills, errors = given.pairs * fewer, given.kills * fewer, given.errors
    if name.startswith(HISTORY) and not given.scenes:
        pairs = given.pairs if int(name.removeprefix(HISTORY)) < PAIRED else 0
        kills = errors = 0
    try:
        sweep, start, facts = begun(name, count, True)
        sweep.run(start, facts, pairs, kills)
        if errors:
            sweep.meet(start, facts, errors)
    finally:
        print(f"{name}: {count.line()}", flush=True)
        for fault, where in count.faults.items():
            print(f"    {fault}: {where[0]}", flush=True)
        total.add(count)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.disk", description="Cut the power everywhere.")
    parser.add_argument("--pairs", type=int, default=1, help="second cuts of every N-th first one")
    parser.add_argument("--kills", type=int, default=1, help="a kill at every N-th moment")
    parser.add_argument("--errors", type=int, default=1, help="of every N-th error of the disk")
    parser.add_argument("--histories", type=int, default=150, help="scenes at random")
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help="all, unless some are named")
    given = parser.parse_args()
    if unknown := [name for name in given.scenes if not is_scene(name)]:
        parser.error(f"{', '.join(unknown)}: no such scene; there are {', '.join(NAMES)}")
    return given


if __name__ == "__main__":
    end_at_sigterm()
    sys.exit(main())
