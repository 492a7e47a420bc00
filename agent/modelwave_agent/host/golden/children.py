"""Runs steps of making and examining golden sets in processes of their own, also with other Python
interpreters: a model may crash its runtime, and an interpreter has one version of it.

A step prints JSON lines on stdout: {"progress": text} any number of times, then its result. Other
lines, which a runtime may print, are passed over.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import modelwave_agent
import modelwave_shared

MODULE = "modelwave_agent.host.golden"
_MAX_REASON = 300  # characters


class StepError(Exception):
    """A step failed; the message says how. `number` is the signal that ended its process, or 0."""

    def __init__(self, problem: str, number: int = 0) -> None:
        super().__init__(problem)
        self.number = number


def say(text: str) -> None:
    """Tells whoever started this process how far it is."""
    tell({"progress": text})


def tell(value: Any) -> None:
    print(json.dumps(value), flush=True)


def result(python: str, step: str, arguments: Sequence[str], lent: Path) -> Any:
    """Runs a step, passes its progress on, and returns its result. Raises StepError."""
    last = None
    for value in lines(python, step, arguments, lent):
        if isinstance(value, dict) and "progress" in value:
            tell(value)
        else:
            last = value
    if last is None:
        raise StepError("it gave no result")
    return last


def lines(python: str, step: str, arguments: Sequence[str], lent: Path) -> Iterator[Any]:
    """Runs a step and yields its values. Raises StepError at its end, unless it ended well."""
    env = dict(os.environ)
    if python != sys.executable:
        env["PYTHONPATH"] = str(lend_packages(lent))
        env["PYTHONDONTWRITEBYTECODE"] = "1"
    errors = lent / "stderr"
    try:
        with errors.open("wb") as told:
            process = subprocess.Popen(
                [python, "-P", "-m", MODULE, step, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=told,
                env=env,
            )
    except OSError as error:
        raise StepError(f"it cannot be started: {error.strerror}") from error
    with process:
        assert process.stdout
        for line in process.stdout:
            try:
                yield json.loads(line)
            except ValueError:
                continue
    if process.returncode < 0:
        raise StepError(_ended_by(-process.returncode), -process.returncode)
    if process.returncode:
        raise StepError(_last_line(errors) or f"it ended with code {process.returncode}")


def _ended_by(number: int) -> str:
    if number == signal.SIGALRM:
        return "its time limit ended it"
    if number == signal.SIGKILL:
        return "it was killed; the kernel does this when memory runs out"
    return f"the model crashed its runtime ({signal.Signals(number).name})"


def _last_line(file: Path) -> str:
    said = file.read_bytes()[-4096:].decode(errors="replace").strip().splitlines()
    return said[-1][:_MAX_REASON] if said else ""


def lend_packages(folder: Path) -> Path:
    """Returns a folder from which another interpreter imports our packages, and nothing else of
    this one's: it needs a runtime and numpy of its own, and no modelwave."""
    place = folder / "packages"
    if not place.exists():
        place.mkdir()
        for package in (modelwave_agent, modelwave_shared):
            (place / package.__name__).symlink_to(Path(package.__path__[0]).resolve())
    return place
