"""What becomes of one model: each column of the table is a function here."""

import base64
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.models.corpus import ROOT, Model, cache_folder

from modelwave_agent.host.measure import SMALLEST
from modelwave_controller.releases import measuring

BARE = Path(__file__).with_name("bare.py")
PARTS = ("shared", "agent", "controller", ".")
SECONDS = 300
TARGET = "linux-cpu"
YES = "yes"
THREADS = (0, 1, 8)  # of which a device may set any; 0 is what the runtime takes by itself


@dataclass
class Row:
    """Each answer is "yes" or why not. By interpreter are `loads`, `takes` and `served`. `takes`
    and `needs` are bytes of RAM: what the runtime alone takes for the model with the number of
    threads with which it takes most, and what its release asks for."""

    name: str
    what: str
    package: str
    format: str = ""
    loads: dict[str, str] = field(default_factory=dict)
    takes: dict[str, int] = field(default_factory=dict)
    fits: str = ""
    needs: int = 0
    golden: str = ""
    released: str = ""
    served: dict[str, str] = field(default_factory=dict)

    @property
    def is_wrong(self) -> bool:
        """Whether it is said to fit, and loads nowhere."""
        return self.fits == YES and YES not in self.loads.values()


@dataclass(frozen=True)
class Python:
    """An interpreter, and its runtimes, such as "ai-edge-litert 2.3.0"."""

    path: str
    version: str
    runtimes: list[str]

    @property
    def name(self) -> str:
        return f"Python {self.version}"


def environment() -> dict[str, str]:
    """With the packages of this repository, for interpreters that have not installed them."""
    paths = os.pathsep.join(str(ROOT / part) for part in PARTS)
    return {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}


def asked(path: str) -> Python:
    """Asks an interpreter what it is. Raises OSError with the reason if it has no runtime."""
    script = f"import sys; sys.path.insert(0, {str(BARE.parent)!r}); import bare; bare.introduce()"
    done = subprocess.run([path, "-c", script], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{path} cannot run models: {done.stderr.strip().splitlines()[-1]}")
    return Python(path, *json.loads(done.stdout.splitlines()[-1]))


def loads(python: Python, model: Model, file: Path, answers: Path, inputs: Path | None) -> str:
    """Runs the model with the runtime alone; `answers` gets its outputs."""
    options = ["--name", model.name, "--values", json.dumps(model.values)]
    options += ["--limits", json.dumps(model.limits or None), "--seed", str(model.seed)]
    options += ["--voice"] if model.voice else []
    options += ["--inputs", str(inputs)] if inputs else []
    found = _bare(python, model, file, str(answers), *options)
    if isinstance(found, str):
        return found
    if found["loads"]:
        return YES
    return "only with XNNPACK" if found["loads_with_delegates"] else str(found["error"])


def takes(python: Python, model: Model, file: Path, inputs: Path) -> int:
    """Returns the bytes of RAM that the runtime alone takes for the model, 0 if that cannot be
    said."""
    with tempfile.TemporaryDirectory() as folder:
        smallest = Path(folder) / f"smallest.{model.format}"
        smallest.write_bytes(base64.b64decode(SMALLEST[model.format]))
        options = ("--inputs", str(inputs), "--warm", str(smallest))
        found = [_bare(python, model, file, *options, "--threads", str(n)) for n in THREADS]
    figures = [one["ram"] for one in found if not isinstance(one, str)]
    return max(figures) if len(figures) == len(THREADS) else 0


def asks(model: Model, file: Path, inputs: Path, others: list[str]) -> int:
    """Returns the bytes of RAM that a release of the model asks for, measured as `release create`
    does."""
    loading = {"shapes": model.shapes} if model.shapes else {}
    measured = measuring.measure(file, model.format, loading, others, golden=inputs)
    assert measured, f"no runtime for {model.format}"
    return measured.ram


def _bare(python: Python, model: Model, file: Path, *options: str) -> Any:
    """Returns what bare.py says, or in words why it says nothing."""
    command = [python.path, "-I", str(BARE), str(file), *options]
    command += ["--shapes", json.dumps(model.shapes)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS} seconds"
    if done.returncode < 0:
        return f"it crashes the runtime (signal {-done.returncode})"
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    return json.loads(done.stdout.splitlines()[-1])


def fits(model: Model, file: Path) -> str:
    """What `modelwave model inspect` says for the target linux-cpu."""
    done = modelwave("model", "inspect", "--target", TARGET, "--json", str(file))
    try:
        found = json.loads(done.stdout)[0]
    except (ValueError, IndexError, KeyError):
        return said(done.stderr or done.stdout) or f"exit code {done.returncode}"
    if found.get("fits") == YES:
        return YES
    return _why(found)


def golden(model: Model, file: Path, inputs: Path, made: Path, others: list[str]) -> str:
    """Makes a golden set of the inputs, with the runtimes of all interpreters. Returns "yes" or
    why there is none."""
    options = [part for path in others for part in ("--python", path)]
    for name, shape in model.shapes.items():
        options += ["--shape", f"{name}={'x'.join(map(str, shape))}"]
    done = modelwave(
        "golden", "make", str(file), "--inputs", str(inputs), "--out", str(made), *options
    )
    if done.returncode == 0 and made.exists():
        return YES
    return said(done.stderr or done.stdout) or f"exit code {done.returncode}"


def _why(found: dict[str, Any]) -> str:
    reasons = [found.get("error"), found.get("refused"), found.get("unknown")]
    reasons += found.get("shortfalls") or []
    return "; ".join(str(reason) for reason in reasons if reason) or str(found.get("fits"))


def modelwave(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelwave_controller", *arguments]
    try:
        return subprocess.run(
            command,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {SECONDS} seconds")


def said(text: str) -> str:
    """Returns the last line that a command said, without its name and the folder of the models."""
    lines = text.strip().splitlines()
    last = " ".join(lines[-1].split()).removeprefix("modelwave: ") if lines else ""
    return last.replace(f"{cache_folder()}/", "")
