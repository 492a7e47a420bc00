"""Cuts the power in every scene of the device and of the controller's files, once and twice, and
lets the disk refuse every operation. Ends with one line, and exits with 1 if something was left
that must not be.

    python -m tests.disk [--pairs N] [--kills N] [--errors N] [--histories N] [SCENE ...]

A scene may also be a history at random, such as "history 17".
"""

import argparse
from collections.abc import Callable

from tests.arguments import whole
from tests.disk.every import HISTORY, LARGE, NAMES, begun, is_scene
from tests.disk.mounted import patched
from tests.disk.sweep import Count
from tests.ending import INTERRUPTED, asked_to_end

PAIRED = 12  # histories at random with second cuts


def main() -> int:
    given = _arguments()
    total, is_ended, check = Count(), False, asked_to_end()
    alone = tuple(f"{HISTORY}{seed}" for seed in range(given.histories))
    try:
        with patched():
            for name in given.scenes or (*NAMES, *alone):
                _sweep(name, given, total, check)
    except KeyboardInterrupt:
        is_ended = True
        print("ended by Ctrl-C, before its end")
    print(f"disk: {total.line()}")
    return INTERRUPTED if is_ended else int(total.bad > 0)


def _sweep(name: str, given: argparse.Namespace, total: Count, check: Callable[[], None]) -> None:
    count = Count(tell=lambda line: print(f"  {name}, so far: {line}", flush=True))
    fewer = LARGE.get(name, 1)
    pairs, kills, errors = given.pairs * fewer, given.kills * fewer, given.errors
    if name.startswith(HISTORY) and not given.scenes:
        pairs = given.pairs if int(name.removeprefix(HISTORY)) < PAIRED else 0
        kills = errors = 0
    try:
        sweep, start, facts = begun(name, count, True)
        sweep.check = check
        sweep.run(start, facts, pairs, kills)
        if errors:
            sweep.meet(start, facts, errors)
    finally:
        print(f"{name}: {count.line()}", flush=True)
        for fault, where in count.faults.items():
            print(f"    {fault}: {where[0]}", flush=True)
        total.add(count)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.disk", description="Cut the power; 0 for N: none.")
    parser.add_argument(
        "--pairs", type=whole(0), default=1, help="second cuts of every N-th first one"
    )
    parser.add_argument("--kills", type=whole(0), default=1, help="a kill at every N-th moment")
    parser.add_argument(
        "--errors", type=whole(0), default=1, help="of every N-th error of the disk"
    )
    parser.add_argument("--histories", type=whole(0), default=150, help="scenes at random")
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help="all, unless some are named")
    given = parser.parse_args()
    if unknown := [name for name in given.scenes if not is_scene(name)]:
        known = f"{', '.join(NAMES)}, and '{HISTORY}N' for every N"
        parser.error(f"{', '.join(unknown)}: no such scene; there are {known}")
    return given
