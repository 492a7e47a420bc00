"""Runs the agent's programs that make and examine golden sets, with their progress. They run
models, so they are processes of their own, which end with the command, also after a signal."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from modelwave_controller.errors import OperatorError
from modelwave_controller.interruption import held_back
from modelwave_controller.releases.confinement import confined
from modelwave_controller.releases.golden_archives import GOLDEN_COMMAND
from modelwave_controller.releases.printed import last_line

_MAX_REASON = 500  # characters
# A program runs a model that nobody trusts yet, so what it prints is bounded. A result is the
# largest of its lines: it has a few numbers for each of at most some thousands of records.
MAX_LINE_BYTES = 4 * 1024**2
MAX_OUTPUT_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class Allowed:
    """The paths that a program may read and write, and the Pythons that it may start."""

    read: Sequence[Path]
    write: Sequence[Path]
    pythons: Sequence[str]


def run(
    arguments: Sequence[str], what: str, allowed: Allowed, progress: Callable[[str], None]
) -> Any:
    """Returns the result of a program, and calls `progress` with lines for people. Raises
    OperatorError, which names `what` ("MODEL"), if it fails."""
    return result_of([*GOLDEN_COMMAND, *arguments], what, allowed, progress)


def result_of(
    program: Sequence[str], what: str, allowed: Allowed, progress: Callable[[str], None]
) -> Any:
    """Does the same for any program, a Python with its arguments, that prints as those do."""
    with (
        tempfile.TemporaryFile() as errors,
        confined(program, allowed.read, allowed.write, allowed.pythons) as (command, env),
        _started(command, env, errors.fileno()) as process,
    ):
        result = None
        assert process.stdout
        for line in _bounded_lines(process.stdout, what):
            with contextlib.suppress(ValueError, RecursionError):  # a line of the runtime
                value = json.loads(line)
                if isinstance(value, dict) and "progress" in value:
                    progress(str(value["progress"]))
                elif isinstance(value, dict):
                    result = value
        code = process.wait()
        errors.seek(0)
        said = last_line(errors.read(), _MAX_REASON)
    if code == 0 and result is not None:
        return result
    why = said if said and code > 0 else f"its program ended with code {code}"
    raise OperatorError(f"{what}: {why}")


def _bounded_lines(output: IO[bytes], what: str) -> Iterator[bytes]:
    """Yields the lines of a program. Raises OperatorError if it prints too much."""
    taken = 0
    while line := output.readline(MAX_LINE_BYTES):
        taken += len(line)
        if taken > MAX_OUTPUT_BYTES or (not line.endswith(b"\n") and len(line) == MAX_LINE_BYTES):
            raise OperatorError(
                f"{what}: its program printed more than {MAX_LINE_BYTES} bytes in a line, or"
                f" {MAX_OUTPUT_BYTES} in all, and was ended; do not trust this model"
            )
        yield line


@contextlib.contextmanager
def _started(
    command: Sequence[str], env: Mapping[str, str], errors: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program in a session of its own, which is killed with all its processes at the end."""
    process: subprocess.Popen[bytes] | None = None
    try:
        with held_back():
            process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        yield process
    finally:
        if process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout:
                process.stdout.close()
