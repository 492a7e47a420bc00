"""Kills the service at every point of every course, before and after, once and twice, compares each
end with the model, and ends with one line. Exits with 1 if one of them is not what it should be.

    python -m tests.histories [--seeds N] [--step N] [--processes N] [COURSE ...]
    python -m tests.histories --play COURSE:SEED:AT+MORE     one history, as it was printed

AT is the point at which the service is killed, MORE how many points after that again (0: not).
"""

import argparse
import contextlib
import logging
import multiprocessing
import re
import signal
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from tests.arguments import add_names, whole
from tests.ending import INTERRUPTED
from tests.histories.broker import Troubles
from tests.histories.courses import COURSES
from tests.histories.fleet import start
from tests.histories.points import Ended, Kill, end_all, play

SEEDS = 3
PARTS = 8  # of the histories of a course and seed
MOST_MORE = 150  # points between two kills
NOT_PLAYED = 2  # exit code
_HISTORY = re.compile(r"(?P<course>\w+):(?P<seed>\d+):(?P<at>\d+)\+(?P<more>\d+)", re.ASCII)
SHOWN = 5  # bad ends that are printed whole
CALM = {
    "messages in their order": Troubles(permutes=False),
    "no message twice": Troubles(repeats=False),
    "no connection lost": Troubles(drops=False),
    "none of these troubles": Troubles(False, False, False),
}


class Part(NamedTuple):
    """The histories of a course and a seed that one process plays: of its points, from 1, each
    `parts`-th from `first` on."""

    course: str
    seed: int
    first: int
    parts: int

    def chosen(self, number: int) -> list[int]:
        """One history with one kill there, and one with two."""
        drawn = Random(f"{self.course} {self.seed} {number}").randint(1, MOST_MORE)
        return [0, drawn] if number % self.parts == self.first else []


class Count:
    def __init__(self) -> None:
        self.histories = self.kills = self.bad = 0

    def add(self, ends: list[Ended]) -> None:
        self.histories += len(ends)
        self.kills += sum(end.kills for end in ends)
        self.bad += sum(bool(end.problems) for end in ends)

    def line(self) -> str:
        return f"{self.histories} histories, {self.kills} kills, {self.bad} bad"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.histories", description="Kill the service.")
    parser.add_argument("--seeds", type=whole(1), default=SEEDS, help="of each course")
    parser.add_argument("--step", type=whole(1), default=1, help="every N-th point")
    parser.add_argument("--processes", type=whole(1), help="the cores, if not given")
    parser.add_argument("--play", metavar="HISTORY", help="one history, as it was printed")
    add_names(parser, "courses", COURSES, "course")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if given.play:
        history = _HISTORY.fullmatch(given.play)
        if history is None or history["course"] not in COURSES:
            parser.error(f"--play: give COURSE:SEED:AT+MORE, of the courses {', '.join(COURSES)}")
        return _play_one(history)
    count, is_ended = Count(), False
    try:
        for course in given.courses or COURSES:
            for seed in range(given.seeds):
                ended = Count()
                for ends in _played(course, seed, given.step, given.processes):
                    ended.add(ends)
                    count.add(ends)
                    _tell(course, seed, ends, count)
                    print(f"{course}, seed {seed}: {ended.line()}", flush=True)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would disturb the end
        print("ended by Ctrl-C")
        is_ended = True
    print(f"histories: {count.line()}")
    return INTERRUPTED if is_ended else int(count.bad > 0)


def _played(course: str, seed: int, step: int, processes: int | None) -> Iterator[list[Ended]]:
    context = multiprocessing.get_context("fork")
    start()  # made once, before the processes part
    with context.Pool(processes, initializer=_ends_with_parent) as pool:
        parts = PARTS * step
        yield from pool.imap_unordered(_play, [Part(course, seed, n, parts) for n in range(PARTS)])


def _ends_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the others
    signal.signal(signal.SIGTERM, end_all)


def _play(part: Part) -> list[Ended]:
    ends: list[Ended] = []
    play(part.course, part.seed, part.chosen, ends.append)
    if part.first:
        ends.pop()  # the one without a kill, which each part plays
    return ends


def _tell(course: str, seed: int, ends: list[Ended], count: Count) -> None:
    for end in ends:
        if end.problems and count.bad <= SHOWN:
            print(f"{course}:{seed}:{end.kill.at}+{end.kill.more}, killed {end.point}:")
            print("\n".join(f"    {problem}" for problem in end.problems))
            print(f"    bad also with: {', '.join(still_bad(course, seed, end.kill))}", flush=True)


def still_bad(course: str, seed: int, kill: Kill) -> list[str]:
    """Returns with which simpler histories the end is bad too."""
    simpler = {"one kill": (kill._replace(more=0), Troubles())}
    simpler |= {name: (kill, troubles) for name, troubles in CALM.items()}
    found = []
    for name, (one, calm) in simpler.items():
        with contextlib.suppress(ValueError):  # it has fewer points
            found += [name] if played(course, seed, one, calm) else []
    return found


def played(course: str, seed: int, kill: Kill, troubles: Troubles) -> list[str]:
    """Plays one history; returns what is wrong at its end. Raises ValueError if it has no such
    point."""
    ends: list[Ended] = []
    points = play(
        course, seed, lambda n: [kill.more] if n == kill.at else [], ends.append, troubles
    )
    its = [end for end in ends if end.kill == kill]
    if not its:
        raise ValueError(f"it has {points} points, and was not killed at {kill.at}")
    return its[0].problems


def _play_one(history: re.Match[str]) -> int:
    kill = Kill(int(history["at"]), int(history["more"]))
    try:
        problems = played(history["course"], int(history["seed"]), kill, Troubles())
    except ValueError as error:
        print(error)
        return NOT_PLAYED
    print("\n".join(problems) or "its end is that of the model")
    return int(bool(problems))
