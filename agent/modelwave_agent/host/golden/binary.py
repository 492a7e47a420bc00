"""The binary golden sets of boards, on a host: compared with the model's own types and shapes, and
read as named arrays."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy

from modelwave_agent.host.golden.archive import CLASSES, EXPECTED, INPUTS, Array
from modelwave_agent.host.runtimes.specs import OPEN, TensorSpec
from modelwave_shared.golden import HEADER_BYTES, LABELS, MAGIC, SIZES, GoldenError, Header

TYPES = {"b": "|i1", "B": "|u1", "h": "<i2", "f": "<f4"}  # {code: type as numpy writes it}


def read_header(path: str) -> Header:
    """Returns the header of the file. Raises GoldenError, also if it is longer or shorter than the
    header says, and OSError."""
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
        if not head.startswith(MAGIC):
            raise GoldenError(
                "golden: neither an .npz nor a file of boards, which begins with MWG1"
            )
        header = Header(head)
        size = os.fstat(file.fileno()).st_size
    if size != header.file_bytes:
        raise GoldenError(f"golden: {size} bytes, its header says {header.file_bytes}")
    return header


def require_fit(
    header: Header, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> None:
    """Raises GoldenError unless the set has the types and sizes of the model's only input and
    output."""
    given = header.input_bytes // SIZES[header.input_type]
    for what, specs, type_, elements in (
        ("input", inputs, header.input_type, given),
        ("output", outputs, header.output_type, header.output_elements),
    ):
        if len(specs) != 1:
            raise GoldenError(
                f"golden: the model has {len(specs)} {what}s, and the binary form is for one; make "
                "an .npz (modelwave golden make)"
            )
        _compare(what, specs[0], type_, elements)


def _compare(what: str, spec: TensorSpec, type_: str, elements: int) -> None:
    has = f"golden: the set's {what} has %s, and the model's {what} {spec.name} %s; make the set "
    has += "from this model (modelwave golden make)"
    if TYPES[type_] != spec.dtype:
        name = "texts" if spec.dtype[1] == "S" else numpy.dtype(spec.dtype).name
        raise GoldenError(has % (numpy.dtype(TYPES[type_]).name, name))
    if OPEN not in spec.shape and elements != numpy.prod(spec.shape, dtype=numpy.int64):
        raise GoldenError(
            has % (f"{elements} elements", f"{numpy.prod(spec.shape, dtype=numpy.int64)}")
        )


def rows(
    path: str, header: Header, shape: tuple[int, ...], given: str, output: str
) -> Iterator[dict[str, Array]]:
    """Yields for each record {name: array}, as an archive does. `shape` is that of the input;
    `given` and `output` are the names of the model's input and output. An expected output is
    flat. Raises GoldenError and OSError."""
    is_labels = header.kind == LABELS
    expected = (CLASSES if is_labels else EXPECTED) + output
    expected_type = "<u2" if is_labels else TYPES[header.output_type]
    with open(path, "rb") as file:
        file.seek(HEADER_BYTES)
        for _ in range(header.count):
            parts = file.read(header.input_bytes), file.read(header.expected_bytes)
            if len(parts[1]) != header.expected_bytes:
                raise GoldenError("golden: cut off")
            label = numpy.frombuffer(parts[1], expected_type)
            yield {
                INPUTS + given: numpy.frombuffer(parts[0], TYPES[header.input_type]).reshape(shape),
                expected: label[0] if is_labels else label,
            }


def rules(tolerance: Mapping[str, Any], output: str) -> dict[str, Any]:
    """Returns the rules by output of a tolerance, of any kind."""
    if tolerance["kind"] == "tensors":
        return dict(tolerance["outputs"])
    if tolerance["kind"] == "labels":
        return {output: {"judge": "labels", "least_ppm": tolerance["least_ppm"]}}
    return {output: {"judge": "elements", "absolute": tolerance["steps"]}}
