"""`make heal`: many random histories, on all cores. At the first that breaks a rule it prints the
shrunk history, which can be pasted into `python -m tests.heal --play FILE`, and ends with 1."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from tests.heal import histories
from tests.heal.histories import Step, made, play, shrunk, told
from tests.heal.many import played


def main():
    options = _options()
    if options.play:
        return _play(options.play)
    words = Counter()
    chosen = [(n, made(n)) for n in range(options.seed, options.seed + options.histories)]
    try:
        for number, found in enumerate(played(chosen, options.processes), 1):
            seed, history, outcome = found
            if outcome.violation:
                return _tell(seed, history, outcome)
            words.update(outcome.words)
            print(f"\r{number} of {len(chosen)} histories", end="", flush=True)
    except KeyboardInterrupt:
        print("\nended by Ctrl-C; nothing was wrong so far")
        return 130
    print("\nno rule was broken; in so many histories there was a rollout that was:")
    print(", ".join(f"{word} {number}" for word, number in sorted(words.items())))
    return 0


def _options():
    parser = argparse.ArgumentParser(prog="make heal", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first history")
    parser.add_argument("--histories", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=None, help="the cores, if not given")
    parser.add_argument("--play", type=Path, help="a file with one history, as it was printed")
    return parser.parse_args()


def _tell(seed, history, outcome):
    print(f"\nhistory {seed}: {outcome.violation}\n\nshrinking it …", flush=True)
    history = shrunk(history, seed, outcome.violation.kind)
    print(f"\n{play(history, seed).violation}\n\n{told(history, seed)}")
    return 1


def _play(file):
    violation = eval(file.read_text(), {"play": histories.play, "Step": Step}).violation
    print(violation or "no rule was broken")
    return 1 if violation else 0


if __name__ == "__main__":
    sys.exit(main())
