"""A day of a fleet: 24 hours, 300 devices, 100 rollouts, with trouble of all kinds.

    python -m tests.day [--rollouts N] [--devices N] [--hosts N] [--boards N] [--seed N]

The service, the broker and the real agents are processes of their own; what passes time only is
skipped (pace.py). Each rollout's verdict is compared with the truth (releases.py), a line each. At
the end every device has to run what it should, and its report to be true; the log's chain to be
whole; and memory and database to be flat (figures.py). Ctrl-C ends it, and says what was done."""

import argparse
import asyncio
import contextlib
import functools
import logging
import signal
import sys
import tempfile
from pathlib import Path
from unittest import mock

from modelwave_agent import download
from modelwave_controller.cli import run
from modelwave_controller.demo.processes import processes
from modelwave_controller.interruption import ENDING, Interrupted
from modelwave_shared import ed25519
from tests.arguments import whole
from tests.day import clock
from tests.day.figures import Figures
from tests.day.releases import drawn
from tests.day.world import Day
from tests.ending import INTERRUPTED
from tests.heal.devices import PowerCut, hash_file
from tests.heal.fleet import memory

ROLLOUTS, DEVICES, HOSTS, BOARDS = 100, 300, 16, 4
DAY_SECONDS = 24 * 3600


class Told:
    """What the day came to."""

    def __init__(self):
        self.rollouts, self.right, self.bad, self.lost = 0, 0, 0, 0
        self.hours = 0.0
        self.figures = Figures()

    def fault(self, text):
        self.bad += 1
        print(f"    bad: {text}", flush=True)


async def play(running, given, told):
    _end_at_signals()
    simulated = given.devices - given.hosts - given.boards
    day = Day(running, given.seed, simulated, given.hosts, given.boards)
    try:
        await day.begin()
        trouble = asyncio.create_task(day.make_trouble())
        day.tasks.append(trouble)
        for index, kind in enumerate(drawn(day.random, given.rollouts)):
            await _at(day, index * DAY_SECONDS / ROLLOUTS)
            number = await day.rollout(kind)
            wrong = day.verdict(number, kind)
            told.rollouts += 1
            told.right += not wrong
            told.hours = day.seconds / 3600
            told.figures.add(day.controller)
            acts = ", ".join(day.person.acts.get(number, []))
            words = f"{day.person.seen().status}{f' ({acts})' if acts else ''}"
            print(f"{day.seconds / 3600:5.2f} h: {number}, {kind.name}: {words}", flush=True)
            if wrong:
                told.fault(wrong)
        await _at(day, given.rollouts * DAY_SECONDS / ROLLOUTS)
        told.hours = day.seconds / 3600
        trouble.cancel()
        await day.end()
        for lost in day.lost():
            told.lost += 1
            told.fault(lost)
        for fault in (*day.faults, *told.figures.faults(), *_dead(running)):
            told.fault(str(fault))
        print(f"trouble: {', '.join(f'{n} {what}' for what, n in day.happened.items())}")
    finally:
        await day.close()
    if run(["--home", str(day.fleet.home.path), "log", "verify"]):
        told.fault("the log's chain is broken")


def _end_at_signals():
    """A signal ends the task in order. An exception of a signal's handler would be lost where it
    comes while Python calls back, which it does most of the time here."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, task.cancel)


async def _at(day, seconds):
    """Waits for that time of the day, if it is not over."""
    await asyncio.sleep(max(0.0, seconds - day.seconds))


def _dead(running):
    return [f"{name} ended:\n{running.last_words(name)}" for name in running.dead()]


def _no_sync(_descriptor):
    """In the place of os.fsync."""


def patched():
    """Nothing here looks at a medium, and a signature is verified once for all devices."""
    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch("os.fsync", _no_sync))
    verify = functools.lru_cache(10_000)(ed25519.verify)
    stack.enter_context(mock.patch.object(ed25519, "verify", verify))
    stack.enter_context(mock.patch.object(download, "hash_file", hash_file))
    return stack


def main():
    given = _arguments()
    told, begun, is_ended = Told(), clock.real_monotonic(), False
    logging.disable(logging.CRITICAL)  # of the simulated devices
    try:
        with (
            tempfile.TemporaryDirectory(prefix="modelwave-day-", dir=memory()) as folder,
            processes(Path(folder)) as running,
            patched(),
            asyncio.Runner() as runner,
        ):
            runner.get_loop().set_exception_handler(_tell)
            runner.run(play(running, given, told))
    except (KeyboardInterrupt, Interrupted, asyncio.CancelledError):
        is_ended = True
        print(f"ended by Ctrl-C after {told.rollouts} rollouts; seed {given.seed}")
    print(f"{clock.real_monotonic() - begun:.0f} s of real time")
    print(
        f"day: {told.hours:.0f} h, {given.devices} devices, {told.rollouts} rollouts, "
        f"{told.right} verdicts right, {told.lost} devices lost, {told.figures.line()}, "
        f"{told.bad} bad{'; ended by Ctrl-C' if is_ended else ''}"
    )
    return INTERRUPTED if is_ended else int(told.bad > 0)


def _arguments():
    parser = argparse.ArgumentParser(prog="tests.day", description=__doc__.splitlines()[0])
    parser.add_argument("--rollouts", type=whole(1), default=ROLLOUTS)
    parser.add_argument("--devices", type=whole(2), default=DEVICES, help="with the real ones")
    parser.add_argument("--hosts", type=whole(0), default=HOSTS, help="real agents on CPython")
    parser.add_argument(
        "--boards", type=whole(0), default=BOARDS, help="real agents on MicroPython"
    )
    parser.add_argument("--seed", type=whole(0), default=0)
    given = parser.parse_args()
    real = given.hosts + given.boards
    if not real:
        parser.error("--hosts and --boards: at least 1 of both together")
    if given.devices <= real:
        parser.error(f"--devices: at least {real + 1}, as {real} are real and one is simulated")
    return given


def _tell(loop, context):
    if not isinstance(context.get("exception"), PowerCut):
        loop.default_exception_handler(context)


if __name__ == "__main__":
    sys.exit(main())
