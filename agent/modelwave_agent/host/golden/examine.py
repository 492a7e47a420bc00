"""Examines a golden set on its model: how far each configuration of each runtime is from what is
expected, and how many faults in the model's weights it notices."""

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwave_agent.host.golden import children
from modelwave_agent.host.golden.children import StepError, say
from modelwave_agent.host.golden.distances import unit
from modelwave_agent.host.golden.faulty import Fault
from modelwave_agent.host.golden.judges import Elements, OutputJudge
from modelwave_agent.host.golden.sets import GoldenSet, inputs_of
from modelwave_agent.host.golden.weakness import weakness
from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_shared.limits import MILLION

SHARE = 0.95  # of the faults
LEAST_FAULT_SECONDS = 5.0
FAULT_FACTOR = 10  # a faulty model may take so many times as long as the sound one
CRASHED, HUNG = "crashed", "hung"
_EVERY = 10  # faults between two lines of progress


def measured(
    runtime: HostRuntime, golden_path: str, tolerance: Mapping[str, Any]
) -> dict[str, Any]:
    """Runs the set on the loaded model. Returns for each judged output what came out. Raises
    GoldenError and ProofError."""
    with GoldenSet(golden_path) as golden:
        golden.bind(runtime)
        judges = golden.judges(tolerance, runtime.configuration)
        began = time.monotonic()
        for row in golden.rows():
            outputs = runtime.run(inputs_of(row, runtime.inputs))
            for judge in judges:
                judge.add(outputs, row)
        took = time.monotonic() - began
        records = golden.records
    return {
        "configuration": runtime.configuration,
        "version": runtime.version,
        "records": records,
        "seconds": round(took, 3),
        "outputs": {judge.output: _shown(judge, runtime) for judge in judges},
    }


def _shown(judge: OutputJudge, runtime: HostRuntime) -> dict[str, Any]:
    shown = {
        "judge": judge.rule["judge"],
        "right": judge.right,
        "seen": judge.seen,
        "problem": judge.verdict(),
    }
    if isinstance(judge, Elements):
        finite = judge.worst < float("inf")
        shown |= {
            "worst": judge.worst if finite else None,
            "relative_ppm": judge.worst_ppm,
            "unit": unit(next(s.dtype for s in runtime.outputs if s.name == judge.output)),
        }
    return shown


def examine(
    options: Mapping[str, str],
    others: Sequence[str],
    variants: Sequence[Sequence[str]],
    faults: Sequence[Fault],
    work: Path,
) -> dict[str, Any]:
    """`options`: model, golden, tolerance, format and loading, for all configurations; `others`:
    further Python interpreters; `variants`: the delegates of each configuration. Raises StepError
    if the reference cannot be run, GoldenError and OSError."""
    tolerance = json.loads(options["--tolerance"])
    weak = weakness(options["--golden"], tolerance)
    found, problems = [], []
    for place, (python, delegates) in enumerate(
        [(python, delegates) for python in (sys.executable, *others) for delegates in variants]
    ):
        loading = json.loads(options["--loading"])
        loading.pop("delegates", None)
        if delegates:
            loading["delegates"] = list(delegates)
        own = {**options, "--loading": json.dumps(loading)}
        try:
            found.append(children.result(python, "measure", _words(own), work))
            say(f"{found[-1]['configuration']} {found[-1]['version']}: measured")
        except StepError as error:
            if not place:
                raise
            named = "+".join((python, *delegates))
            problems.append({"python": named, "problem": str(error)})
    examined: dict[str, Any] = {"configurations": found, "problems": problems, "weak": weak}
    if faults:
        examined["faults"] = _faults(options, faults, found[0], work)
    return examined


def _words(options: Mapping[str, str]) -> list[str]:
    return [word for option in options.items() for word in option]


def _faults(
    options: Mapping[str, str], faults: Sequence[Fault], sound: Mapping[str, Any], work: Path
) -> dict[str, Any]:
    """Returns how many faults are noticed, and by how many records, by the reference."""
    copied = work / "faulty-model"
    limit = max(LEAST_FAULT_SECONDS, FAULT_FACTOR * sound["seconds"])
    loading = json.loads(options["--loading"])
    loading.pop("delegates", None)
    own = {
        **options,
        "--loading": json.dumps(loading),
        "--model": str(copied),
        "--seconds": str(limit),
    }
    noticed: list[int | None] = []
    ended = {CRASHED: 0, HUNG: 0}
    while len(noticed) < len(faults):
        shutil.copyfile(options["--model"], copied)  # the last fault may still be in it
        rest = work / "faults.json"
        rest.write_text(json.dumps(faults[len(noticed) :]))
        try:
            for value in children.lines(
                sys.executable, "faults", [*_words(own), "--faults", str(rest)], work
            ):
                if isinstance(value, dict) and "noticed_from" in value:
                    noticed.append(value["noticed_from"])
                    if len(noticed) % _EVERY == 0:
                        say(f"{len(noticed)} of {len(faults)} faults tried")
            break
        except StepError as error:
            if not error.number:
                raise
            ended[HUNG if error.number == signal.SIGALRM else CRASHED] += 1
            noticed.append(1)
    return _summed(noticed, ended, sound["records"])


def _summed(
    noticed: Sequence[int | None], ended: Mapping[str, int], records: int
) -> dict[str, Any]:
    tried = len(noticed)
    found = sorted(one for one in noticed if one is not None)
    needed = -(-int(SHARE * 100) * tried // 100)  # 95 %, rounded up
    return {
        "tried": tried,
        "noticed": len(found),
        "ppm": len(found) * MILLION // tried,
        **ended,
        "records": records,
        "records_for_95_percent": found[needed - 1] if len(found) >= needed else None,
        "by_records": {count: sum(one <= count for one in found) for count in _counts(records)},
    }


def _counts(records: int) -> Iterator[int]:
    """Yields 1, 2, 4, … and the number of records."""
    count = 1
    while count < records:
        yield count
        count *= 2
    yield records
