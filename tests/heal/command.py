"""`make heal`: many random histories, on all cores. At the first that breaks a rule it prints the
shrunk history, which can be pasted into `python -m tests.heal --play FILE`, and ends with 1. Ctrl-C
ends it, and it says how to go on."""

import argparse
import contextlib
import signal
from collections import Counter
from pathlib import Path

from tests.arguments import whole
from tests.ending import INTERRUPTED
from tests.heal import histories
from tests.heal.histories import Step, made, play, shrunk, told
from tests.heal.many import played


def main():
    options = _options()
    return _play(options.play) if options.play else _play_all(options)


def _options():
    parser = argparse.ArgumentParser(prog="make heal", description=__doc__)
    parser.add_argument("--seed", type=whole(0), default=0, help="of the first history")
    parser.add_argument("--histories", type=whole(1), default=2000)
    parser.add_argument("--processes", type=whole(1), help="the cores, if not given")
    parser.add_argument("--play", type=Path, help="a file with one history, as it was printed")
    return parser.parse_args()


def _play(file):
    violation = eval(file.read_text(), {"play": histories.play, "Step": Step}).violation
    print(violation or "no rule was broken")
    return 1 if violation else 0


def _play_all(options):
    seeds = range(options.seed, options.seed + options.histories)
    words, done = Counter(), 0
    _tell_progress(done, options)
    try:
        with contextlib.closing(played([(n, made(n)) for n in seeds], options.processes)) as found:
            for seed, history, outcome in found:
                if outcome.violation:
                    return _tell_violation(seed, history, outcome.violation)
                words.update(outcome.words)
                done += 1
                _tell_progress(done, options)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would disturb the end
        left = f"SEED={options.seed + done} HISTORIES={options.histories - done}"
        print(f"\nended by Ctrl-C; no rule was broken so far. To go on: make heal {left}")
        return INTERRUPTED
    print("\nno rule was broken; in so many histories there was a rollout that was:")
    print(", ".join(f"{word} {number}" for word, number in sorted(words.items())))
    return 0


def _tell_progress(done, options):
    print(f"\r{done} of {options.histories} histories", end="", flush=True)


def _tell_violation(seed, history, violation):
    print(f"\nhistory {seed}: {violation}\n\n{told(history, seed)}\n\nshrinking it …", flush=True)
    try:
        history = shrunk(history, seed, violation.kind)
        print(f"\n{play(history, seed).violation}\n\n{told(history, seed)}")
    except KeyboardInterrupt:
        print("\nended by Ctrl-C; the history above breaks the rule")
    return 1
