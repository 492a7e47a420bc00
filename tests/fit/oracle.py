"""Gives the true figures for a model: PyPI's tflite_micro, the reference kernels on x86-64.

Our profile x86-64:pypi is of its build. If the arena is too small, it fails and sometimes crashes,
so it runs in a process of its own.
"""

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

from modelwave_controller.fit.kernel_data import load_tables
from modelwave_controller.fit.model import Model, read_model
from modelwave_controller.fit.profiles import PROFILES
from modelwave_controller.fit.replay import Replay

WHEEL = "0.dev20260930024714"
STEP = 16  # bytes; the arena and its buffers are aligned so
NEAR = 8  # steps
LARGEST_ARENA = 1 << 24
try:
    INSTALLED = metadata.version("tflite_micro")
except metadata.PackageNotFoundError:
    INSTALLED = "none"
MISSING = f"tflite_micro {WHEEL} is not there to agree, but {INSTALLED}: pip install tflite-micro"
PYPI = PROFILES["x86-64:pypi"]


def replay(data: bytes) -> Replay:
    """What we say of the model in the wheel. Raises Refused or Unknown."""
    model: Model = read_model(data)
    return Replay(model, PYPI, load_tables(PYPI.abi, PYPI.library))


class Oracle:
    """tflite_micro, started anew whenever it crashes."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def used(self, path: Path, arena: int = LARGEST_ARENA) -> int | None:
        """arena_used_bytes() of the model in `path`, None if it does not allocate."""
        answer = self._ask(f"allocate {arena} {path}")
        return int(answer) if answer.isdigit() else None

    def runs(self, path: Path) -> bool:
        """Whether the model allocates and can be invoked."""
        return self._ask(f"run {LARGEST_ARENA} {path}").isdigit()

    def need(self, path: Path, most: int) -> int:
        """The smallest arena from which on it allocates all, found by bisection below `most`.
        Below it a single size may do by luck, where a kernel overwrites what it does not read
        again; so the sizes above what was found are tried too. Some kernels take no notice of an
        allocation that failed; then less is used."""
        whole = self.used(path)
        low, high = 0, -(-most // STEP)
        while high - low > 1:
            middle = (low + high) // 2
            if self.used(path, STEP * middle) != whole:
                low = middle
            else:
                high = middle
        near = range(high, high + NEAR)
        failed = [size for size in near if self.used(path, STEP * size) != whole]
        return STEP * (max(failed) + 1 if failed else high)

    def _ask(self, question: str) -> str:
        process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(question.encode() + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline().decode().strip()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._stop()
            return "crashed"
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).parent / "oracle_worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self.process

    def _stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None
