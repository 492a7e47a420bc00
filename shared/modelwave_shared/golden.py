"""The golden set: inputs with what must come out, run on the device before it confirms.

A golden file is binary, so that a board reads it record by record into one buffer:

    header   20 bytes, little-endian: b"MWG1", kind, input type, output type, 0,
             count (u32), elements of one input (u32), elements of one output (u32)
    record   the input's bytes, then what is expected:
             kind "o" (outputs): the output's bytes
             kind "l" (labels):  the right class, u16

Types are struct codes: b int8, B uint8, h int16, f float32. The manifest says how far
off is still right (documents.md, `tolerance`):

    outputs  for each runtime, the largest step that one element may be off: quantised
             steps for integer outputs, millionths for float32. Kernels of different
             runtimes round differently, hence one figure each; "any" serves the rest.
    labels   the least share of inputs, in parts per million, whose largest output is
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
SIZES = {"b": 1, "B": 1, "h": 2, "f": 4}
MILLIONTHS = 1000000


class GoldenError(ValueError):
    """The golden file is not one, or is cut off; the message names the field."""


def pack(
    kind: str,
    input_type: str,
    output_type: "str | tuple[str, int]",
    inputs: "Sequence[bytes]",
    expected: "Sequence[Any]",
) -> bytes:
    """The bytes of a golden file. `inputs`: one bytes object each; `expected`: the output's
    bytes each (kind "o") or the right class each (kind "l", with `output_type` and the
    number of classes as a tuple). Raises GoldenError."""
    output_type, classes = output_type if isinstance(output_type, tuple) else (output_type, None)
    if not inputs or len(inputs) != len(expected):
        raise GoldenError("a golden set needs as many inputs as expected results, at least one")
    elements = classes if kind == "l" else len(expected[0]) // SIZES[output_type]
    head = struct.pack(
        HEADER,
        MAGIC,
        ord(kind),
        ord(input_type),
        ord(output_type),
        0,
        len(inputs),
        len(inputs[0]) // SIZES[input_type],
        elements,
    )
    header = Header(head)
    parts = [head]
    for index, (given, wanted) in enumerate(zip(inputs, expected)):
        if kind == "l":
            if not 0 <= wanted < header.output_elements:
                raise GoldenError("label %d of record %d is no class" % (wanted, index))
            wanted = struct.pack("<H", wanted)
        if len(given) != header.input_bytes or len(wanted) != header.expected_bytes:
            raise GoldenError("record %d differs from the first in length" % index)
        parts.append(given)
        parts.append(wanted)
    return b"".join(parts)


class Header:
    """What the first 20 bytes say. Raises GoldenError if they are not a golden file's."""

    def __init__(self, data: "Buffer") -> None:
        if len(data) < HEADER_BYTES:
            raise GoldenError("golden: shorter than 20 bytes")
        magic, kind, given, out, zero, count, in_elements, out_elements = struct.unpack(
            HEADER, data[:HEADER_BYTES]
        )
        self.kind, self.input_type, self.output_type = chr(kind), chr(given), chr(out)
        if magic != MAGIC or zero or self.kind not in "ol":
            raise GoldenError("golden: not a golden file")
        if self.input_type not in SIZES or self.output_type not in SIZES:
            raise GoldenError("golden: types are b, B, h or f")
        if not 1 <= count <= MAX_GOLDEN_RECORDS:
            raise GoldenError("golden: count %d outside 1 to %d" % (count, MAX_GOLDEN_RECORDS))
        self.count: int = count
        self.output_elements = out_elements
        self.input_bytes: int = in_elements * SIZES[self.input_type]
        self.output_bytes: int = out_elements * SIZES[self.output_type]
        given, out = self.input_bytes, self.output_bytes
        if min(given, out) < 1 or max(given, out) > MAX_TENSOR_BYTES:
            raise GoldenError(
                "golden: input of %d, output of %d bytes, outside 1 to %d"
                % (given, out, MAX_TENSOR_BYTES)
            )
        self.expected_bytes = 2 if self.kind == "l" else out

    @property
    def file_bytes(self) -> int:
        record = self.input_bytes + self.expected_bytes
        return HEADER_BYTES + self.count * record


class Judge:
    """Counts how the outputs compare; `verdict` is "" for healthy, or what was wrong."""

    def __init__(self, header: Header, tolerance: "Document", runtime: str) -> None:
        """`tolerance`: the manifest's field; `runtime`: the name the device's runtime has
        there. Raises GoldenError where the two do not go together."""
        self.header = header
        self.runtime = runtime
        self.labels = header.kind == "l"
        if tolerance["kind"] != ("labels" if self.labels else "outputs"):
            raise GoldenError("tolerance.kind is not the golden file's")
        # Parts per million that must be right, or steps that each output may be off.
        if self.labels:
            self.bound = tolerance["least_ppm"]
        else:
            steps = tolerance["steps"]
            self.bound = steps.get(runtime, steps.get("any"))
            if self.bound is None:
                raise GoldenError("tolerance.steps names neither %s nor any" % runtime)
        self.seen = 0
        self.right = 0
        self.worst = 0

    def add(self, output: "Buffer", expected: "Buffer") -> None:
        """Both bytes-like: the model's output and the record's expected part."""
        header = self.header
        if len(output) != header.output_bytes:
            raise GoldenError(
                "golden: the model's output has %d bytes, not %d"
                % (len(output), header.output_bytes)
            )
        self.seen += 1
        code = "<%d%s" % (header.output_elements, header.output_type)
        got = struct.unpack(code, output)
        if self.labels:
            self.right += is_sole_largest(got, struct.unpack("<H", expected)[0])
        else:
            off = furthest(got, struct.unpack(code, expected), header.output_type)
            self.worst = max(self.worst, off)
            self.right += off <= self.bound

    def verdict(self) -> str:
        """Raises GoldenError before all records were added: a part proves nothing."""
        seen, right = self.seen, self.right
        if seen != self.header.count:
            raise GoldenError("golden: %d of %d records run" % (seen, self.header.count))
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
    """Whether the output at `label` is above every other. A tie is no answer, or a model
    whose output never changes would pass; nor is a NaN, which is above nothing."""
    above = 0
    if label < len(outputs):
        for other in outputs:
            above += outputs[label] > other
    return above == len(outputs) - 1


def furthest(got: "Sequence[float]", expected: "Sequence[float]", kind: str) -> int:
    """The largest difference of two tuples of numbers: steps, or millionths for float32.
    A NaN on either side is further off than any tolerance can say."""
    worst = 0
    for a, b in zip(got, expected):
        off = abs(a - b)
        if kind == "f":
            off = int(min(off, 2000) * MILLIONTHS + 0.5) if off == off else MAX_SEQ + 1
        worst = max(worst, int(off))
    return worst
