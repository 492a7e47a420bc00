"""Mutates the modules that decide, and shows each mutant to their tests; ends with one line. Exits
with 1 if the score of a part is below 90 %, or a survivor is not explained (survivors.toml).

    python -m tests.mutation [--workers N] [--every N] [PART ...]
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tests.arguments import add_names, whole
from tests.ending import INTERRUPTED, end_at_sigterm
from tests.mutation.covering import Covering, covering
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.parts import PARTS, Part
from tests.mutation.running import prepare, tested
from tests.mutation.survivors import explained, gone

LEAST_SCORE = 90
SHOWN_EVERY = 100


@dataclass
class Count:
    mutants: int = 0
    killed: int = 0
    explained: int = 0

    @property
    def score(self) -> float:
        return 100 * self.killed / max(1, self.mutants)

    def line(self) -> str:
        rest = self.mutants - self.killed - self.explained
        said = f"{self.killed} of {self.mutants} killed ({self.score:.1f} %)"
        return f"{said}, {self.explained} survivors explained, {rest} not"

    def add(self, other: "Count") -> None:
        self.mutants += other.mutants
        self.killed += other.killed
        self.explained += other.explained


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.mutation", description="Mutate what decides.")
    parser.add_argument("--workers", type=whole(1), default=2, help="processes side by side")
    parser.add_argument("--every", type=whole(1), default=1, help="every N-th mutant alone")
    add_names(parser, "parts", PARTS, "part")
    given = parser.parse_args()
    if stale := gone(explained()):
        sys.exit(f"survivors.toml: no line of {stale[0].path} is now: {stale[0].before}")
    prepare()
    total, least, is_ended = Count(), 100.0, False
    try:
        with _folder_of_all():
            for name in given.parts or PARTS:
                count = _mutated(name, PARTS[name], given.workers, given.every)
                print(f"{name}: {count.line()}", flush=True)
                total.add(count)
                least = min(least, count.score)
    except KeyboardInterrupt:
        print("ended by Ctrl-C")
        is_ended = True
    print(f"mutants: {total.line()}")
    if is_ended:
        return INTERRUPTED
    return int(least < LEAST_SCORE or total.killed + total.explained < total.mutants)


@contextlib.contextmanager
def _folder_of_all() -> Iterator[None]:
    """A child that is killed leaves its folders, so they are all in this one."""
    with (
        tempfile.TemporaryDirectory(prefix="modelwave-mutants-") as folder,
        mock.patch.object(tempfile, "tempdir", folder),
    ):
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user than root
        yield


def _mutated(name: str, part: Part, workers: int, every: int) -> Count:
    known = covering(list(part.files), list(part.tests))
    print(f"{name}: its tests take {known.seconds([*known.took]):.0f} s", flush=True)
    count = Count()
    reasons = explained()
    chosen = [mutant for path in part.files for mutant in mutants(path)][::every]
    for mutant, noticed in _shown(chosen, known, workers):
        count.mutants += 1
        count.killed += noticed
        if not noticed and any(reason.is_of(mutant) for reason in reasons):
            count.explained += 1
        elif not noticed:
            print(f"    survives: {mutant.shown}", flush=True)
        if count.mutants % SHOWN_EVERY == 0:
            print(f"    {count.mutants} of {len(chosen)}: {count.line()}", flush=True)
    return count


def _shown(chosen: list[Mutant], known: Covering, workers: int) -> Iterator[tuple[Mutant, bool]]:
    """Shows each mutant to the tests that go through its line, and what survives to the others:
    what a fixture did for several tests counts for the first one alone."""
    again = []
    for mutant, noticed in tested(chosen, known.of, known.seconds, workers):
        if noticed or not known.others(mutant):
            yield mutant, noticed
        else:
            again.append(mutant)
    yield from tested(again, known.others, known.seconds, workers)


if __name__ == "__main__":
    end_at_sigterm()
    sys.exit(main())
