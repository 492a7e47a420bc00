"""What commands take that ask a service on this machine, beside a Python that does nothing.

The runs alternate, so that the machine's other work meets all. A figure is how many seconds more a
command takes than that Python, by the medians; the detail has what the processor did for it."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.api.known_service import known_service
from benchmarks.scale.row import Row

from modelwave_controller.environment import TOKEN

DEVICES = 500
RUNS = 7
HELP_SECONDS, REMOTE_SECONDS = 0.35, 0.6
MODELWAVE = [sys.executable, "-m", "modelwave_controller"]
NOTHING = "python"
HELP = "modelwave --help"
COMMANDS = ("rollout status", "device list", "device show d7", "rollout list", "fleet status")


class Ran(NamedTuple):
    seconds: float
    processor: float


def rows(long: bool) -> Iterator[Row]:
    with known_service(DEVICES, 1) as service, ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="modelwave-api-"))
        environment = os.environ | {TOKEN: service.tokens[0], "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed one has its bytecode
        programs = {NOTHING: [sys.executable, "-c", "pass"], HELP: [*MODELWAVE, "--help"]}
        for command in COMMANDS:
            programs[command] = [*MODELWAVE, "--server", service.url, *command.split()]
        ran: dict[str, list[Ran]] = {name: [] for name in programs}
        for turn in range(1 + RUNS * (3 if long else 1)):
            for name, program in programs.items():
                found = _run(program, environment, Path(folder))
                if turn:  # the first one writes the bytecode
                    ran[name].append(found)
    bare = _median(ran.pop(NOTHING))
    for name, its in ran.items():
        more = _median(its)
        what = name if name == HELP else f"modelwave --server URL {name}"
        goal = HELP_SECONDS if name == HELP else REMOTE_SECONDS
        detail = (
            f"{more.seconds:.2f} s, {more.processor:.2f} s of the processor; python alone "
            f"{bare.seconds:.2f} s, {bare.processor:.2f} s"
        )
        yield Row(f"{what}, more than python", more.seconds - bare.seconds, goal, "s", detail)


def _median(ran: list[Ran]) -> Ran:
    return Ran(median(one.seconds for one in ran), median(one.processor for one in ran))


def _run(program: list[str], environment: dict[str, str], folder: Path) -> Ran:
    errors = folder / "stderr"
    begun = time.monotonic()
    process = os.posix_spawn(
        program[0],
        program,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(errors), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        ],
    )
    _, status, used = os.wait4(process, 0)
    seconds = time.monotonic() - begun
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{' '.join(program[3:])} failed: {errors.read_text()}")
    return Ran(seconds, used.ru_utime + used.ru_stime)
