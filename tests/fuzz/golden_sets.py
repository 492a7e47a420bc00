"""Golden sets, which come with a release: boards' binary ones, and archives of arrays."""

import io
import math
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy

from modelwave_agent.host.golden import binary
from modelwave_agent.host.golden.archive import Archive
from modelwave_agent.proof import judge_golden
from modelwave_shared import golden
from modelwave_shared.golden import HEADER_BYTES, LABELS, MILLIONTHS, OUTPUTS, GoldenError, Header
from tests.fuzz import scratch
from tests.fuzz.judging import require_line, run

STEPS, LEAST_PPM = 2, 500_000
TOLERANCES: dict[str, dict[str, Any]] = {
    LABELS: {"kind": "labels", "least_ppm": LEAST_PPM},
    OUTPUTS: {"kind": "outputs", "steps": {"any": STEPS}},
}
MOST_ELEMENTS = 2048  # of one output: more take long to compare


def board(data: bytes) -> bool:
    """What a board says of a model that gives its input back: numpy counts the same. Hosts take the
    file if it is as long as its header says."""
    path = scratch.put("golden", data)
    try:
        header = Header(data)
    except GoldenError as error:
        require_line(error)
        assert _of_host(str(path)) is None
        return False
    if header.output_elements > MOST_ELEMENTS or header.input_bytes > 2 * MOST_ELEMENTS:
        return False
    answers: list[bytes] = []

    def model(given: bytes) -> bytes:
        answers.append((given * (header.output_bytes // len(given) + 1))[: header.output_bytes])
        return answers[-1]

    judged = judge_golden(model, "tflite", str(path), TOLERANCES[header.kind], _breathe)
    problem = run(judged)
    is_whole = len(data) >= header.file_bytes
    assert is_whole == ("cut off" not in problem)
    if is_whole:
        rows = _rows(data, header)
        assert (problem == "") == _is_healthy(header, rows, answers)
    its = _of_host(str(path))
    assert (its is not None) == (len(data) == header.file_bytes)
    if its is not None:
        assert its == [expected for _, expected in _rows(data, header)]
    return is_whole


async def _breathe() -> None: ...


def _rows(data: bytes, header: Header) -> list[tuple[bytes, bytes]]:
    found, at = [], HEADER_BYTES
    for _ in range(header.count):
        end = at + header.input_bytes
        found.append((data[at:end], data[end : end + header.expected_bytes]))
        at = end + header.expected_bytes
    return found


def _of_host(path: str) -> list[bytes] | None:
    try:
        header = binary.read_header(path)
    except GoldenError:
        return None
    rows = binary.rows(path, header, (-1,), "x", "y")
    name = ("labels/" if header.kind == LABELS else "outputs/") + "y"
    return [row[name].tobytes() for row in rows]


def _is_healthy(header: Header, rows: list[tuple[bytes, bytes]], answers: list[bytes]) -> bool:
    kind = binary.TYPES[header.output_type]
    right = 0
    with numpy.errstate(all="ignore"):
        for (_, expected), answer in zip(rows, answers, strict=True):
            got = numpy.frombuffer(answer, kind).astype(numpy.float64)
            if header.kind == LABELS:
                label = int.from_bytes(expected, "little")
                right += label < len(got) and int((got[label] > got).sum()) == len(got) - 1
                continue
            off = numpy.abs(got - numpy.frombuffer(expected, kind).astype(numpy.float64)).max()
            if kind == "<f4":
                off = math.inf if math.isnan(off) else off * MILLIONTHS - 0.5
            right += bool(off < STEPS if kind == "<f4" else off <= STEPS)
    if header.kind == LABELS:
        return right * MILLIONTHS // len(rows) >= LEAST_PPM
    return right == len(rows)


def archive(data: bytes) -> bool:
    """numpy reads the same arrays from what is taken."""
    path = scratch.put("golden.npz", data)
    try:
        with Archive(str(path)) as found:
            rows = list(_first_rows(found))
            names, records = dict(found.arrays), found.records
    except GoldenError as error:
        require_line(error)
        return False
    with zipfile.ZipFile(io.BytesIO(data)) as theirs:
        for name, stacked in names.items():
            with theirs.open(name + ".npy") as file:
                its = numpy.lib.format.read_array(file, allow_pickle=False)
            assert its.shape == (records, *stacked.shape)
            for number, row in enumerate(rows):
                assert row[name].tobytes() == its[number : number + 1].tobytes()
    return True


def _first_rows(found: Archive) -> Iterator[dict[str, Any]]:
    yield from found.rows()


def board_seeds() -> list[bytes]:
    labels = golden.pack("l", "b", ("b", 3), [b"\1\5\2", b"\7\0\1"], [1, 0])
    floats = numpy.array([0.5, -2.0], "<f4").tobytes()
    return [
        labels,
        golden.pack("o", "b", "b", [b"\1\2", b"\3\4"], [b"\1\2", b"\3\5"]),
        golden.pack("o", "f", "f", [floats], [floats]),
        golden.pack("o", "B", "h", [b"\1\2\3\4"], [b"\1\2\3\4"]),
    ]


def archive_seeds() -> list[bytes]:
    small = {
        "inputs/x": numpy.arange(6, dtype="<f4").reshape(2, 3),
        "labels/y": numpy.array([1, 0]),
    }
    words = {"inputs/t": numpy.array([b"ab", b"c"]), "outputs/y": numpy.eye(2, 4, 1, "u1")}
    return [_saved(small, False), _saved(words, True)]


def _saved(arrays: dict[str, Any], compressed: bool) -> bytes:
    out = io.BytesIO()
    (numpy.savez_compressed if compressed else numpy.savez)(out, **arrays)
    return out.getvalue()
