"""Runs a golden set on a model with one flipped bit after the other, in this process, which a fault
may crash or make hang: examine.py starts it again behind that fault.

It changes `model`, a copy of its own, and undoes each change.
"""

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwave_agent.host.golden.archive import Array
from modelwave_agent.host.golden.sets import GoldenSet, inputs_of
from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_agent.ports import ProofError

KEPT_BYTES = 2**28  # of records that stay in memory
Fault = tuple[int, int]  # (offset in the file, the bits to flip in that byte)


def results(
    runtime: HostRuntime,
    model: Path,
    golden_path: str,
    tolerance: Mapping[str, Any],
    loading: Mapping[str, Any],
    faults: Sequence[Fault],
    seconds: float,
) -> Iterator[int | None]:
    """Yields for each fault how many records notice it: from that number of the set's first records
    on, the set fails. None: it never does. `seconds` is the limit for one. Raises GoldenError and
    OSError."""
    with GoldenSet(golden_path) as golden:
        rows = None
        for fault in faults:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            with _Flipped(model, fault):
                try:
                    runtime.load(str(model), loading)
                    golden.bind(runtime)
                    rows = _kept(golden) if rows is None else rows
                    yield noticed_from(runtime, golden, rows, tolerance)
                except OSError:
                    raise  # no fault of the model
                except Exception:  # whatever a damaged model makes its runtime raise
                    yield 1
                finally:
                    runtime.unload()
            signal.setitimer(signal.ITIMER_REAL, 0)


def _kept(golden: GoldenSet) -> list[dict[str, Array]] | None:
    size = Path(golden.path).stat().st_size
    if golden.archive:
        size = sum(one.records * one.record_bytes for one in golden.archive.arrays.values())
    return list(golden.rows()) if size <= KEPT_BYTES else None


def noticed_from(
    runtime: HostRuntime,
    golden: GoldenSet,
    rows: Sequence[dict[str, Array]] | None,
    tolerance: Mapping[str, Any],
) -> int | None:
    """Returns from how many of the first records on the loaded model fails, None if all pass it."""
    judges = golden.judges(tolerance, runtime.configuration)
    last_good = 0
    for number, row in enumerate(rows if rows is not None else golden.rows(), start=1):
        try:
            outputs = runtime.run(inputs_of(row, runtime.inputs))
        except ProofError:
            return last_good + 1
        for judge in judges:
            judge.add(outputs, row)
        if any(judge.everything and judge.right < judge.seen for judge in judges):
            return last_good + 1
        if not any(judge.seen and judge.verdict() for judge in judges):
            last_good = number
    return last_good + 1 if last_good < golden.records else None


class _Flipped:
    """The model's file with a fault, during a block."""

    def __init__(self, model: Path, fault: Fault) -> None:
        self.model, self.fault = model, fault

    def __enter__(self) -> None:
        self._flip()

    def __exit__(self, *_raised: object) -> None:
        self._flip()

    def _flip(self) -> None:
        offset, bits = self.fault
        with self.model.open("r+b") as file:
            file.seek(offset)
            (byte,) = file.read(1)
            file.seek(offset)
            file.write(bytes([byte ^ bits]))


def read_faults(path: str) -> list[Fault]:
    """Reads the JSON file of [offset, bits] that the controller wrote."""
    return [(int(offset), int(bits)) for offset, bits in json.loads(Path(path).read_bytes())]
