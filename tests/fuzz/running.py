"""Runs libFuzzer on one target, and reads what it says."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, NamedTuple

from tests.fuzz import scratch
from tests.fuzz.target import Target

ROOT = Path(__file__).resolve().parents[2]
FOUND = ROOT / "build" / "fuzz"  # inputs of findings
MEMORY_MB = 1024
INPUT_SECONDS = 60  # that one input may take; a loaded machine is slow
TOLD_SECONDS = 30.0  # between two lines of progress
END_SECONDS = 20
BY_CTRL_C, BY_SIGNAL = "interrupted", "its process was ended by a signal"
# Exit codes of one that was ended from outside: libFuzzer's own, and the signal before it begins.
KILLED = (72, *(-n for n in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))
SHOWN_LINES = 40  # of what a finding says
_PROGRESS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+).*corp: (\d+)")
_RUNS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_NOISE = ("INFO: Instrumenting", "WARNING: Failed to find function", "INFO: ")


class Ended(NamedTuple):
    """`finding`: where its input is, "" for none. `cut_off`: what ended it early, if not ""."""

    target: Target
    runs: int
    seconds: float  # of a core
    finding: str = ""
    cut_off: str = ""

    def line(self) -> str:
        speed = self.runs / max(self.seconds, 0.001)
        told = f"{self.target.name}: {self.runs:,} runs, {speed:,.0f} a second of a core"
        if self.finding:
            told += f"; FINDING: python -m tests.fuzz --case {self.finding} '{self.target.name}'"
        return told + (f"; {self.cut_off}" if self.cut_off else "")


def new_inputs(folder: Path) -> Path:
    """Where libFuzzer puts the inputs that it keeps."""
    return folder / "new"


def fuzz(target: Target, folder: Path, runs: int, seconds: int, seed: int) -> Ended:
    """Fuzzes it until it has made so many runs, or for so many seconds if they are not 0. What it
    writes is below `folder`."""
    new, artifacts = new_inputs(folder), folder / "artifacts"
    starts = seeds_in(target, folder)
    new.mkdir()
    artifacts.mkdir()
    options = [
        f"-runs={runs}",
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={target.longest}",
        f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={artifacts}/",
        "-print_final_stats=1",
    ]
    before = _cpu_seconds()
    folders = [new, starts, *([target.corpus] if target.corpus.is_dir() else [])]
    code, course, interrupted = _run(target, folder, [*options, *map(str, folders)])
    cut_off = BY_CTRL_C if interrupted else BY_SIGNAL if code in KILLED else ""
    finding = _reported(target, artifacts, course.said) if code and not cut_off else ""
    return Ended(target, course.runs, _cpu_seconds() - before, finding, cut_off)


def _cpu_seconds() -> float:
    """Of the processes that have ended: on a loaded machine runs are counted by a core's time."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seeds_in(target: Target, folder: Path) -> Path:
    """Writes the target's seeds, and returns their folder."""
    starts = folder / "seeds"
    starts.mkdir()
    for number, seed in enumerate(target.seeds()):
        (starts / str(number)).write_bytes(seed)
    return starts


def _run(target: Target, folder: Path, arguments: list[str]) -> tuple[int, "_Course", bool]:
    """Returns the exit code, what libFuzzer said, and whether Ctrl-C ended it."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.child", target.name, *arguments],
        cwd=ROOT,
        env={**os.environ, scratch.FOLDER: str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is for this process, which then ends it
    ) as process:
        assert process.stdout is not None
        course = _Course(target.name)
        interrupted = False
        try:
            course.read(process.stdout)
        except KeyboardInterrupt:
            interrupted = True
            _end(process, course)
        code = process.wait()
    return code, course, interrupted


class _Course:
    """What libFuzzer has said so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.runs = 0
        self.said: list[str] = []
        self._began, self._told = time.monotonic(), 0.0

    def read(self, lines: IO[str]) -> None:
        for line in lines:
            if found := _PROGRESS.match(line):
                self._progress(*map(int, found.groups()))
            elif found := _RUNS.match(line):
                self.runs = int(found[1])
            elif not line.startswith(_NOISE):
                self.said = [*self.said, line.rstrip()][-10 * SHOWN_LINES :]

    def _progress(self, runs: int, reached: int, kept: int) -> None:
        self.runs = runs
        now = time.monotonic()
        if now - self._told >= TOLD_SECONDS:
            self._told = now
            speed = runs / (now - self._began)
            told = f"  {self.name}: {runs:,} runs so far, {speed:,.0f} a second, {reached} places"
            print(f"{told} reached by {kept} inputs", flush=True)


def _end(process: "subprocess.Popen[str]", course: _Course) -> None:
    """libFuzzer says at its end how far it has come."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would disturb the end
    process.terminate()
    late = threading.Timer(END_SECONDS, process.kill)
    late.start()
    assert process.stdout is not None
    course.read(process.stdout)
    late.cancel()


def _reported(target: Target, artifacts: Path, said: list[str]) -> str:
    """Prints what the fuzzer says of a finding, and returns where its input is now."""
    begin = next((at for at, line in enumerate(said) if "Uncaught Python exception" in line), 0)
    for line in said[begin : begin + SHOWN_LINES]:
        print(f"    {line}")
    inputs = sorted(artifacts.iterdir())
    if not inputs:
        return "(no input: the process failed beside the reader)"
    FOUND.mkdir(parents=True, exist_ok=True)
    kept = FOUND / f"{target.name}-{inputs[0].name[:20]}"
    shutil.copyfile(inputs[0], kept)
    return str(kept.relative_to(ROOT))
