"""Fuzzes the targets of targets.py one after the other, each in a process of its own, and ends with
one line. Exits with 1 if there was a finding: an input for which a reader did what it never should.

    python -m tests.fuzz [TARGET ...] [--runs N] [--seconds N]    all, unless some are named
    python -m tests.fuzz --keep [TARGET ...]                      keeps what was found in the corpus
    python -m tests.fuzz --case FILE TARGET                       runs one input again
    python -m tests.fuzz --list
"""

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path

from tests.arguments import add_names, whole
from tests.ending import INTERRUPTED
from tests.fuzz import corpora, scratch
from tests.fuzz.running import BY_CTRL_C, Ended, fuzz
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

RUNS = 10_000_000
MOST, MOST_SEED = 2**31 - 1, 2**32 - 1  # of what is larger, libFuzzer makes another number


def main() -> int:
    given = _parser().parse_args()
    targets = [TARGETS[name] for name in given.targets] or list(TARGETS.values())
    if given.list:
        for target in targets:
            print(f"{target.name}: {target.reads}; compared with {target.oracle}")
        return 0
    if given.case:
        return _one(targets[0], given.case)
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install -e '.[dev]' (Linux on x86-64)")
        return 2
    return _all(targets, given)


def _one(target: Target, case: Path) -> int:
    try:
        with case.open("rb") as file:
            data = file.read(target.longest + 1)
    except OSError as error:
        print(f"--case: {case}: {error.strerror}")
        return 2
    if len(data) > target.longest:
        print(
            f"--case: {case}: longer than {target.longest} bytes, which {target.name} gets at most"
        )
        return 2
    print(f"{target.name}: {'taken' if target.run(data) else 'refused'}, no finding")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description="Make up inputs.")
    add_names(parser, "targets", TARGETS, "target")
    parser.add_argument("--runs", type=whole(1, MOST), default=RUNS, help="of each target")
    parser.add_argument(
        "--seconds", type=whole(0, MOST), default=0, help="of each target; 0: all its runs"
    )
    parser.add_argument(
        "--seed", type=whole(0, MOST_SEED), default=0, help="0: another one each time"
    )
    parser.add_argument("--keep", action="store_true", help="keep new inputs in the corpora")
    parser.add_argument("--case", type=Path, help="run this one input of the target")
    parser.add_argument("--list", action="store_true")
    return parser


def _all(targets: list[Target], given: argparse.Namespace) -> int:
    ended: list[Ended] = []
    for target in targets:
        with tempfile.TemporaryDirectory(prefix="modelwave-fuzz-", dir=scratch.place()) as folder:
            one = fuzz(target, Path(folder), given.runs, given.seconds, given.seed)
            if given.keep and not one.cut_off:
                corpora.keep(target, Path(folder))
        ended.append(one)
        print(one.line(), flush=True)
        if one.cut_off == BY_CTRL_C:
            break
    runs, findings = sum(one.runs for one in ended), sum(bool(one.finding) for one in ended)
    print(f"fuzz: {len(ended)} targets, {runs:,} runs, {findings} findings")
    if ended[-1].cut_off == BY_CTRL_C:
        return INTERRUPTED
    return int(findings > 0 or any(one.cut_off for one in ended))


if __name__ == "__main__":
    sys.exit(main())
