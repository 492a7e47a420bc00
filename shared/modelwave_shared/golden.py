"""The golden set: inputs with expected outputs, which a device runs before it confirms a model.

A golden file is binary, so that a board can read it record by record:

    header   20 bytes, little-endian: b"MWG1", kind, input type, output type, 0,
             count (u32), elements of one input (u32), elements of one output (u32)
    record   the input's bytes, then the expected result:
             kind "o" (outputs): the output's bytes
             kind "l" (labels):  the right class, u16

Types are struct codes: b int8, B uint8, h int16, f float32. The manifest gives the tolerance
(documents.md, `tolerance`):

    outputs  for each runtime, the largest allowed difference of one element: quantised steps
             for integer outputs, millionths for float32. Kernels of different runtimes round
             differently, so each has its own figure; "any" is for all other runtimes.
    labels   the smallest share of inputs, in parts per million, whose largest output must be
             at the label's index.
"""

import struct

from modelwave_shared.limits import MAX_GOLDEN_RECORDS, MAX_SEQ, MAX_TENSOR_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from modelwave_shared.fields import Document

    Buffer = bytes | bytearray | memoryview

HEADER = "<4s4BIII"
HEADER_BYTES = 20
MAGIC = b"MWG1"
OUTPUTS, LABELS = "o", "l"  # the kinds
LABEL = "<H"
LABEL_BYTES = 2
SIZES = {"b": 1, "B": 1, "h": 2, "f": 4}
MILLIONTHS = 1000000
# A difference above any tolerance. Larger ones of float32 outputs, also infinite, count as this.
MOST_OFF = 2000


class GoldenError(ValueError):
    """The golden file is malformed or cut off, or does not match its tolerance or its model; the
    message says which."""


def pack(
    kind: str,
    input_type: str,
    output_type: "str | tuple[str, int]",
    inputs: "Sequence[bytes]",
    expected: "Sequence[Any]",
) -> bytes:
    """Returns the bytes of a golden file. `inputs`: a bytes object for each record; `expected`:
    for each record the output's bytes (kind "o") or the right class (kind "l"; `output_type` is
    then a tuple of type and number of classes). Raises GoldenError."""
    if not inputs or len(inputs) != len(expected):
        raise GoldenError(
            "%d inputs and %d expected results: a golden set needs as many of one as of the other, "
            "at least one" % (len(inputs), len(expected))
        )
    if isinstance(output_type, tuple):
        output_type, output_elements = output_type
    else:
        output_elements = len(expected[0]) // SIZES[output_type]
    head = struct.pack(
        HEADER,
        MAGIC,
        ord(kind),
        ord(input_type),
        ord(output_type),
        0,
        len(inputs),
        len(inputs[0]) // SIZES[input_type],
        output_elements,
    )
    header = Header(head)
    parts = [head]
    for index, (given, wanted) in enumerate(zip(inputs, expected)):
        if kind == LABELS:
            wanted = _packed_label(wanted, header.output_elements, index)
        if len(given) != header.input_bytes or len(wanted) != header.expected_bytes:
            raise GoldenError(
                "record %d: %d bytes of input and %d expected, but the first has %d and %d"
                % (index, len(given), len(wanted), header.input_bytes, header.expected_bytes)
            )
        parts.append(given)
        parts.append(wanted)
    return b"".join(parts)


def _packed_label(label: int, classes: int, index: int) -> bytes:
    if not 0 <= label < classes:
        raise GoldenError(
            "record %d: label %d, the classes are 0 to %d" % (index, label, classes - 1)
        )
    return struct.pack(LABEL, label)


class Header:
    """The header: the first 20 bytes, decoded. Raises GoldenError if they are not valid."""

    def __init__(self, data: "Buffer") -> None:
        if len(data) < HEADER_BYTES:
            raise GoldenError(
                "golden: %d bytes, the header alone has %d" % (len(data), HEADER_BYTES)
            )
        magic, kind, input_type, output_type, zero, count, inputs, outputs = struct.unpack(
            HEADER, data[:HEADER_BYTES]
        )
        self.kind = chr(kind)
        self.input_type = chr(input_type)
        self.output_type = chr(output_type)
        if magic != MAGIC or zero or self.kind not in (OUTPUTS, LABELS):
            raise GoldenError("golden: not a golden file, which begins with MWG1o or MWG1l")
        self.count: int = count
        if not 1 <= count <= MAX_GOLDEN_RECORDS:
            raise GoldenError("golden: count %d outside 1 to %d" % (count, MAX_GOLDEN_RECORDS))
        self.output_elements: int = outputs
        self.input_bytes = _tensor_bytes("input", self.input_type, inputs)
        self.output_bytes = _tensor_bytes("output", self.output_type, outputs)
        self.expected_bytes = LABEL_BYTES if self.kind == LABELS else self.output_bytes

    @property
    def file_bytes(self) -> int:
        record = self.input_bytes + self.expected_bytes
        return HEADER_BYTES + self.count * record


def _tensor_bytes(where: str, element_type: str, elements: int) -> int:
    if element_type not in SIZES:
        raise GoldenError(
            "golden: the %s's element type has code %d, it must be b, B, h or f"
            % (where, ord(element_type))
        )
    size = elements * SIZES[element_type]
    if not 1 <= size <= MAX_TENSOR_BYTES:
        raise GoldenError(
            "golden: an %s of %d bytes, outside 1 to %d" % (where, size, MAX_TENSOR_BYTES)
        )
    return size


class Judge:
    """Compares each output with the expected one, and counts the right ones."""

    def __init__(self, header: Header, tolerance: "Document", runtime: str) -> None:
        """`tolerance`: the manifest's field; `runtime`: the name of the device's runtime in it.
        Raises GoldenError if the tolerance does not match the header or the runtime."""
        self.header = header
        self.runtime = runtime
        self.labels = header.kind == LABELS
        kind = "labels" if self.labels else "outputs"
        if tolerance["kind"] != kind:
            raise GoldenError(
                "tolerance.kind is %s, but the golden file holds %s" % (tolerance["kind"], kind)
            )
        # Parts per million that must be right, or steps that each output may be off.
        if self.labels:
            self.bound = tolerance["least_ppm"]
        else:
            steps = tolerance["steps"]
            self.bound = steps.get(runtime, steps.get("any"))
            if self.bound is None:
                raise GoldenError(
                    "tolerance.steps names neither %s nor any: it must say one of them" % runtime
                )
        self.seen = 0
        self.right = 0
        self.worst = 0

    def add(self, output: "Buffer", expected: "Buffer") -> None:
        """Compares one output of the model with the record's expected part (both bytes-like)."""
        header = self.header
        if len(output) != header.output_bytes:
            raise GoldenError(
                "golden: the model's output has %d bytes, not %d"
                % (len(output), header.output_bytes)
            )
        self.seen += 1
        elements = "<%d%s" % (header.output_elements, header.output_type)
        got = struct.unpack(elements, output)
        if self.labels:
            self.right += is_sole_largest(got, struct.unpack(LABEL, expected)[0])
        else:
            off = furthest(got, struct.unpack(elements, expected), header.output_type)
            self.worst = max(self.worst, off)
            self.right += off <= self.bound

    def verdict(self) -> str:
        """Returns "" if the model is healthy, else what is wrong. Raises GoldenError if not all
        records were added."""
        seen, right = self.seen, self.right
        if seen != self.header.count:
            raise GoldenError("golden: only %d of %d records were run" % (seen, self.header.count))
        if self.labels:
            reached = right * MILLIONTHS // seen
            if reached < self.bound:
                return "golden set: %d of %d labels right (%d ppm, least %d)" % (
                    right,
                    seen,
                    reached,
                    self.bound,
                )
        elif right < seen:
            return "golden set: %d of %d outputs off by more than %d steps on %s, worst %d" % (
                seen - right,
                seen,
                self.bound,
                self.runtime,
                self.worst,
            )
        return ""


def is_sole_largest(outputs: "Sequence[float]", label: int) -> bool:
    """Whether the output at `label` is above every other. A tie is not right, as otherwise a model
    with constant outputs would pass; a NaN is not right either, as it is above nothing."""
    if label >= len(outputs):
        return False
    below = sum(outputs[label] > other for other in outputs)
    return below == len(outputs) - 1


def furthest(got: "Sequence[float]", expected: "Sequence[float]", kind: str) -> int:
    """Returns the largest difference of two tuples of numbers: in steps, or in millionths for
    float32. A NaN on either side counts as more than any tolerance."""
    worst = 0
    for a, b in zip(got, expected):
        off = abs(a - b)
        worst = max(worst, _millionths(off) if kind == "f" else int(off))
    return worst


def _millionths(off: float) -> int:
    is_nan = off != off
    return MAX_SEQ + 1 if is_nan else int(min(off, MOST_OFF) * MILLIONTHS + 0.5)
