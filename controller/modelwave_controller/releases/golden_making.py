"""Makes golden sets, examines them and says what they have, by the agent's programs."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.fit import ModelError
from modelwave_controller.interruption import held_back
from modelwave_controller.models import weights
from modelwave_controller.models.needs import MAX_ANALYSED_BYTES
from modelwave_controller.models.opening import format_of
from modelwave_controller.releases import golden_archives, golden_programs
from modelwave_controller.releases.golden_programs import Allowed
from modelwave_controller.trust.field_types import require
from modelwave_shared import manifests
from modelwave_shared.limits import MAX_GOLDEN_RECORDS
from modelwave_shared.tensors import XNNPACK
from modelwave_shared.words import TENSORS, TFLITE

MAX_FAULTS = 10_000
RUN_SECONDS = 3600  # of one run of a model on all inputs

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Loaded:
    """A model, how it is loaded, and the Python interpreters that run it beside this one."""

    model: Path
    format: str
    loading: Mapping[str, Any]
    pythons: Sequence[str]

    def options(self) -> list[str]:
        """Returns the options of the agent's programs."""
        words = ["--model", str(self.model.absolute()), "--format", self.format]
        words += ["--loading", json.dumps(self.loading), "--seconds", str(RUN_SECONDS)]
        return [*words, *(word for python in self.pythons for word in ("--python", python))]


@dataclass(frozen=True)
class Source:
    """What a golden set is made of: a file of inputs, or so many `random` records by `seed`."""

    inputs: Path | None
    labels: Path | None = None
    random: int = 0
    seed: int = 0


def load(
    model: Path, format_: str | None, shapes: Sequence[str], xnnpack: bool, pythons: Sequence[str]
) -> Loaded:
    """Checks what an operator gave. Raises OperatorError, which names the option."""
    chosen = format_of(model, "MODEL", format_)
    loading: dict[str, Any] = {}
    if shapes:
        loading["shapes"] = dict(_shape(text) for text in shapes)
    if xnnpack:
        if chosen != TFLITE:
            raise OperatorError(f"--xnnpack: a delegate of TFLite, and the model is {chosen}")
        loading["delegates"] = [XNNPACK]
    if loading:
        require(manifests.loading, loading, "--shape")
    return Loaded(model, chosen, loading, [_python(one) for one in pythons])


def _shape(text: str) -> tuple[str, list[int]]:
    """Parses "image=1x224x224x3"."""
    name, is_given, sides = text.rpartition("=")
    numbers = sides.split("x") if sides else []
    if not is_given or not all(n.isascii() and n.isdigit() and len(n) < 11 for n in numbers):
        raise OperatorError(f"--shape: {text[:100]!r}; give NAME=1x224x224x3")
    return name, [int(number) for number in numbers]


def _python(given: str) -> str:
    found = shutil.which(given)
    if found is None:
        raise OperatorError(
            f"--python: {given[:200]} is no program; name the Python of an environment that has "
            "numpy and a runtime, such as other/bin/python"
        )
    return str(Path(found).absolute())


def make(loaded: Loaded, source: Source, board: bool, out: Path, tell: Tell) -> dict[str, Any]:
    """Writes a golden set to `out`, which must be a place for one, and returns what it is. Raises
    OperatorError, with the reason."""
    if (source.inputs is None) == (not source.random):
        raise OperatorError("--inputs: give it, or --random N for a first try; not both")
    if not 0 <= source.random <= MAX_GOLDEN_RECORDS:
        raise OperatorError(f"--random: {source.random}; give 1 to {MAX_GOLDEN_RECORDS}")
    words, read = ["make", *loaded.options()], [loaded.model]
    for option, file in (("--inputs", source.inputs), ("--labels", source.labels)):
        if file is not None:
            disk.open_plain(file, option).close()
            words += [option, str(file.absolute())]
            read.append(file)
    words += ["--random", str(source.random), "--seed", str(source.seed)]
    words += ["--board"] if board else []
    with disk.work_folder(out.parent, "golden") as work:
        made = work / "made"
        words += ["--work", str(work.absolute()), "--out", str(made.absolute())]
        allowed = Allowed(read, [work], loaded.pythons)
        result = _run(loaded, words, "golden make", allowed, tell)
        disk.sync_file(made)
        with held_back():
            os.replace(made, out)
            disk.sync_folder(out.parent)
    return {"file": str(out), **result}


def check(
    loaded: Loaded,
    golden: Path,
    tolerance: dict[str, Any] | None,
    faults: int,
    seed: int,
    tell: Tell,
) -> dict[str, Any]:
    """Runs the set on the model in each configuration, and on `faults` damaged copies. Returns what
    came out. Raises OperatorError."""
    if not 0 <= faults <= MAX_FAULTS:
        raise OperatorError(f"--faults: {faults}; give 0 to {MAX_FAULTS}")
    disk.open_plain(golden, "GOLDEN_SET").close()
    said = golden_archives.read_description(golden, "GOLDEN_SET")
    tolerance = tolerance or said.tolerance
    if not tolerance:
        raise OperatorError(
            "GOLDEN_SET: it does not say its tolerance; give --steps or --least-correct for the "
            f"form of boards, --tolerance FILE for an .npz ({TENSORS})"
        )
    loaded = Loaded(loaded.model, loaded.format, {**said.loading, **loaded.loading}, loaded.pythons)
    with _work() as work:
        words = ["check", *loaded.options(), "--golden", str(golden.absolute())]
        words += ["--tolerance", json.dumps(tolerance), "--work", str(work)]
        if chosen := _faults(loaded, faults, seed):
            (work / "chosen.json").write_text(json.dumps(chosen))
            words += ["--faults", str(work / "chosen.json")]
        allowed = Allowed([loaded.model, golden], [work], loaded.pythons)
        result = _run(loaded, words, "golden check", allowed, tell)
    return {"set": str(golden), "model": str(loaded.model), "tolerance": tolerance, **result}


def _run(loaded: Loaded, words: list[str], what: str, allowed: Allowed, tell: Tell) -> Any:
    """Runs a program. If it fails and the model's file is damaged, the error says how, as what a
    runtime makes of such a file helps nobody."""
    try:
        return golden_programs.run(words, what, allowed, tell)
    except OperatorError as error:
        if damage := _damage(loaded):
            raise OperatorError(f"MODEL: {loaded.model}: {damage}") from error
        raise


def _damage(loaded: Loaded) -> str:
    """Returns what is wrong with the model's file, "" if nothing is, or it is not analysed."""
    try:
        weights.spans(disk.read_input(loaded.model, "MODEL", MAX_ANALYSED_BYTES), loaded.format)
    except ModelError as error:  # an OperatorError, too
        return str(error)
    except OperatorError:
        return ""
    return ""


def _work() -> contextlib.AbstractContextManager[Path]:
    """A folder in the system's place for temporary files."""
    return disk.work_folder(Path(tempfile.gettempdir()), "golden")


def _faults(loaded: Loaded, count: int, seed: int) -> list[tuple[int, int]]:
    if not count:
        return []
    data = disk.read_input(loaded.model, "MODEL", MAX_ANALYSED_BYTES)
    try:
        return weights.faults(weights.spans(data, loaded.format), count, seed)
    except ModelError as error:
        why = f"MODEL: {loaded.model}: {error}; --faults 0 leaves them out"
        raise OperatorError(why) from error


def show(golden: Path) -> dict[str, Any]:
    """Returns what the set has. Raises OperatorError."""
    disk.open_plain(golden, "GOLDEN_SET").close()
    return {"set": str(golden), **golden_archives.shown(golden, golden, "GOLDEN_SET")}
