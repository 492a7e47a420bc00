"""Measures the memory that a model takes on a host, in processes of its own, on each runtime at
hand: that of this Python, and those of other Pythons that the operator names.

Each process runs the agent's program for it (modelwave_agent.host.measure), which says what is
measured. It depends on the model with how many threads a runtime takes most, so several numbers are
measured; with delegates that the manifest allows and without them. The greatest figure counts.

MARGIN_PPM and margin_bytes are added to it (docs/fit.md says by which figures)."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelwave_controller.errors import OperatorError
from modelwave_controller.models.host import Measured
from modelwave_controller.releases.confinement import confined
from modelwave_controller.releases.printed import last_line
from modelwave_shared.words import ONNX

MEASURE = ("-P", "-m", "modelwave_agent.host.measure")
MEASURE_SECONDS = 60
# The process ends itself in time; this is for one that its alarm cannot interrupt.
_GRACE_SECONDS = 10
MARGIN_PPM = 60_000
MARGIN_BYTES = 64 * 1024
ONNX_MARGIN_BYTES = 512 * 1024  # its sessions differ by as much from one process to the next
_THREADS = (0, 1, 8)  # 0: what the runtime takes by itself
_MAX_REASON, _MAX_LINE = 300, 4096  # characters


class _Found(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    ram: int = Field(ge=0)
    reason: str
    runtime: str
    version: str


class NotMeasuredError(Exception):
    """A Python has no runtime, or cannot be started; the message says why."""


def measure(
    model: Path,
    format_: str,
    loading: Mapping[str, Any],
    pythons: Sequence[str],
    only: str = "",
    golden: Path | None = None,
) -> Measured | None:
    """Returns the figure, None if this Python has no runtime for the format and no other one was
    named. `only`: the distribution that all devices have, as the operator said; others do not
    count. `golden`: a set whose inputs serve if the model fails on random ones. Raises
    OperatorError if a runtime cannot load or run the model, crashes or hangs, or if one of
    `pythons` cannot measure it."""
    figures: dict[str, int] = {}
    for python in (sys.executable, *pythons):
        try:
            found = _on_one(python, model, format_, loading, only, golden)
        except NotMeasuredError as why:
            if python in pythons:
                raise OperatorError(f"--python: {python}: {why}") from why
            continue
        for runtime, ram in found:
            figures[runtime] = max(figures.get(runtime, 0), ram)
    if not figures:
        return None
    greatest = max(figures.values())
    margin = greatest * MARGIN_PPM // 10**6 + margin_bytes(format_)
    return Measured(greatest + margin, tuple(figures))


def margin_bytes(format_: str) -> int:
    return ONNX_MARGIN_BYTES if format_ == ONNX else MARGIN_BYTES


def _on_one(
    python: str,
    model: Path,
    format_: str,
    loading: Mapping[str, Any],
    only: str,
    golden: Path | None,
) -> list[tuple[str, int]]:
    """Returns (runtime, bytes) of each way in which the runtime of one Python may run the model."""
    ways = [loading]
    if loading.get("delegates"):
        ways.append({name: value for name, value in loading.items() if name != "delegates"})
    found: list[tuple[str, int]] = []
    for way in ways:
        for threads in _THREADS:
            options = {
                "--model": str(model),
                "--format": format_,
                "--loading": json.dumps(way),
                "--settings": json.dumps({"threads": threads}),
                "--seconds": str(MEASURE_SECONDS),
            }
            if golden:
                options["--golden"] = str(golden)
            read = [model, golden] if golden else [model]
            one = _run(python, [word for option in options.items() for word in option], read)
            if only not in ("", one.runtime):
                return found
            runtime = f"{one.runtime} {one.version}".strip()
            if one.reason:
                raise OperatorError(f"--file: on {runtime}: {one.reason[:_MAX_REASON]}")
            found.append((runtime, one.ram))
    return found


def _run(python: str, arguments: Sequence[str], read: Sequence[Path]) -> _Found:
    """Runs the agent's program. Raises NotMeasuredError, and OperatorError if the model has ended
    it."""
    try:
        with confined([python, *MEASURE, *arguments], read) as (command, env):
            done = subprocess.run(
                command,
                capture_output=True,
                timeout=MEASURE_SECONDS + _GRACE_SECONDS,
                stdin=subprocess.DEVNULL,
                env=env,
            )
    except OSError as error:
        raise NotMeasuredError(f"it cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise _ended(python, signal.SIGALRM) from None
    if done.returncode < 0:
        raise _ended(python, -done.returncode)
    if done.returncode > 0:
        raise NotMeasuredError(
            last_line(done.stderr, _MAX_LINE) or f"it ended with code {done.returncode}"
        )
    try:
        # The last line: a runtime may print lines of its own before.
        return _Found.model_validate_json(last_line(done.stdout, _MAX_LINE))
    except (ValueError, ValidationError) as error:
        raise NotMeasuredError("its result cannot be read") from error


def _ended(python: str, number: int) -> OperatorError:
    how = (
        f"gave no result within {MEASURE_SECONDS} s"
        if number == signal.SIGALRM
        else f"was ended by {signal.Signals(number).name}"
    )
    return OperatorError(
        f"--file: its memory could not be measured: the model {how} in {python}; "
        "--ram gives the figure, and then it is not measured"
    )
