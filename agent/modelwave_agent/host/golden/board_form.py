"""Writes a golden set in the binary form, which boards read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from modelwave_agent.host.golden import binary
from modelwave_agent.host.golden.archive import EXPECTED, INPUTS, Archive, Array
from modelwave_agent.host.golden.runs import Run
from modelwave_shared import golden
from modelwave_shared.golden import GoldenError


def write(
    path: Path, reference: Run, rules: Mapping[str, Any], labels: Mapping[str, Array]
) -> dict[str, Any]:
    """Writes a new file. Returns its tolerance. Raises GoldenError for a model that the form cannot
    hold, and OSError."""
    inputs, outputs = reference.said["inputs"], reference.said["outputs"]
    codes = {dtype: code for code, dtype in binary.TYPES.items()}
    for what, specs in (("input", inputs), ("output", outputs)):
        if len(specs) != 1:
            raise GoldenError(
                f"--board: the model has {len(specs)} {what}s, and the form of boards is for one"
            )
        if specs[0]["dtype"] not in codes:
            raise GoldenError(
                f"--board: the {what} {specs[0]['name']} has {specs[0]['dtype'][1:]}, and the form "
                "of boards has int8, uint8, int16 and float32"
            )
    given_name, output = inputs[0]["name"], outputs[0]["name"]
    with Archive(str(reference.archive)) as archive:
        rows = list(archive.rows())
    given_bytes = [row[INPUTS + given_name].tobytes() for row in rows]
    in_code, out_code = codes[inputs[0]["dtype"]], codes[outputs[0]["dtype"]]
    rule = rules[output]
    if output in labels:
        classes = rows[0][EXPECTED + output].size
        data = golden.pack("l", in_code, (out_code, classes), given_bytes, labels[output].tolist())
        path.write_bytes(data)
        return {"kind": "labels", "least_ppm": rule["least_ppm"]}
    expected = [row[EXPECTED + output].tobytes() for row in rows]
    path.write_bytes(golden.pack("o", in_code, out_code, given_bytes, expected))
    return {"kind": "outputs", "steps": _steps(rule, rows, output)}


def _steps(
    rule: Mapping[str, Any], rows: Sequence[Mapping[str, Array]], output: str
) -> dict[str, int]:
    """Returns the rule's figures without a relative part, which boards do not have: that of the
    greatest expected element is added."""
    greatest = max(float(numpy.abs(row[EXPECTED + output].astype(float)).max()) for row in rows)
    relative = rule.get("relative", {})
    return {
        name: int(numpy.ceil(steps + relative.get(name, 0) * greatest))
        for name, steps in rule["absolute"].items()
    }
