"""Says what a golden set has, as values for JSON."""

import os
from typing import Any

from modelwave_agent.host.golden.archive import DESCRIPTION
from modelwave_agent.host.golden.binary import TYPES
from modelwave_agent.host.golden.sets import GoldenSet
from modelwave_shared.golden import LABELS, SIZES


def shown(path: str) -> dict[str, Any]:
    """Returns its form, records, arrays and description. Raises GoldenError and OSError."""
    with GoldenSet(path) as golden:
        header, archive = golden.header, golden.archive
        common = {"bytes": os.path.getsize(path), "records": golden.records}
        if archive:
            arrays = [
                _array(one.name, one.dtype.str, one.shape, one.records * one.record_bytes)
                for one in archive.arrays.values()
            ]
            return {**common, "form": "npz", "arrays": arrays, DESCRIPTION: archive.description}
        assert header
        given = header.input_bytes // SIZES[header.input_type]
        expected = ("labels", "<u2", ()) if header.kind == LABELS else _outputs(header)
        arrays = [
            _array("inputs", TYPES[header.input_type], (given,), header.count * header.input_bytes),
            _array(*expected, header.count * header.expected_bytes),
        ]
        return {**common, "form": "binary", "arrays": arrays, DESCRIPTION: {}}


def _outputs(header: Any) -> tuple[str, str, tuple[int, ...]]:
    return "outputs", TYPES[header.output_type], (header.output_elements,)


def _array(name: str, dtype: str, shape: tuple[int, ...], unpacked: int) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape), "bytes": unpacked}
