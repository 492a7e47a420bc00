"""Judges a loaded model by its golden set."""

from collections.abc import Mapping
from typing import Any

from modelwave_agent.host.golden.sets import GoldenSet, inputs_of
from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_shared.golden import GoldenError


def judge(runtime: HostRuntime, path: str, tolerance: Mapping[str, Any]) -> str:
    """Runs all records of an .npz golden set. Returns "" if the model is healthy, else what is
    wrong with it or with the set. Raises ProofError if the model cannot be run, and OSError."""
    try:
        with GoldenSet(path) as golden:
            golden.bind(runtime)
            judges = golden.judges(tolerance, runtime.configuration)
            names = [spec.name for spec in runtime.outputs]
            for one in judges:
                for output in one.outputs:
                    if output not in names:
                        raise GoldenError(
                            f"tolerance.outputs.{one.output}: the model has no output {output}; "
                            f"it has {', '.join(names[:8])}"
                        )
            for row in golden.rows():
                outputs = runtime.run(inputs_of(row, runtime.inputs))
                for one in judges:
                    one.add(outputs, row)
            return next((said for one in judges if (said := one.verdict())), "")
    except GoldenError as error:
        return str(error)
