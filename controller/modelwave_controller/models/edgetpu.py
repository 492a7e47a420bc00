"""Reads what the Edge TPU compiler wrote into a model.

The compiler replaces everything that runs on the chip by one operator, `edgetpu-custom-op`.
The operator's options are a FlexBuffers map, whose entry "4" is a package: a FlatBuffers table
with the least version of the runtime, the compiler's name, and executables, each with its chip
and parameters. The first compilers wrote executables without a package, which libedgetpu
no longer reads. Operators that the compiler could not map stay in the model and run on the CPU.

The layout of packages is libedgetpu's executable.fbs; that of FlexBuffers is at
flatbuffers.dev/internals. Every offset is checked before it is followed."""

from dataclasses import dataclass
from struct import Struct

from modelwave_controller.fit import ModelError
from modelwave_controller.fit.flatbuffer import File, Table
from modelwave_controller.fit.model import MAX_CODES, MAX_OPERATORS, MAX_SUBGRAPHS, Model
from modelwave_controller.fit.stored import stored_options
from modelwave_controller.fit.tflite_schema import Slot

OPERATOR = "edgetpu-custom-op"
ACCELERATOR = "edgetpu"
MAX_EXECUTABLES = 16  # the compiler makes two: one loads parameters, one runs
PARAMETER_CACHING = 1
_PACKAGE_IDENTIFIER = b"DWN1"  # at byte 4 (executable.fbs)

_PACKAGE_LEAST_RUNTIME, _PACKAGE_EXECUTABLES, _PACKAGE_COMPILER = 0, 1, 4
_EXECUTABLE_PARAMETERS, _EXECUTABLE_CHIP, _EXECUTABLE_TYPE = 6, 10, 13
_FLEX_MAP, _FLEX_STRING, _FLEX_BLOB = 9, 5, 25
_UNSIGNED = {1: Struct("<B"), 2: Struct("<H"), 4: Struct("<I"), 8: Struct("<Q")}


class OldFormatError(ModelError):
    """Compiled by a compiler whose output libedgetpu no longer reads."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package. `least_runtime` is the number in libedgetpu's RuntimeVersion(N);
    `cached_bytes` of parameters stay on the chip, `streamed_bytes` are sent to it for each
    inference."""

    least_runtime: int
    chip: str
    compiler: str
    cached_bytes: int
    streamed_bytes: int


def is_compiled(model: Model) -> bool:
    return any(operator.custom and operator.name == OPERATOR for operator in model.operators)


def package(data: bytes) -> Package:
    """Returns the package of a compiled model; of several, the one that needs the newest
    runtime. Raises ModelError if there is none, or if one cannot be read; OldFormatError if the
    model was compiled before there were packages."""
    found = [_package(options) for options in _custom_options(data)]
    if not found:
        raise ModelError(f"{OPERATOR} without a package")
    return max(found, key=lambda one: one.least_runtime)


def _custom_options(data: bytes) -> list[bytes]:
    root = File(data).root()
    codes = [code.text(Slot.CODE_CUSTOM) for code in root.tables(Slot.MODEL_CODES, MAX_CODES)]
    found = []
    for graph in root.tables(Slot.MODEL_SUBGRAPHS, MAX_SUBGRAPHS):
        for operator in graph.tables(Slot.GRAPH_OPERATORS, MAX_OPERATORS):
            code = operator.u32(Slot.OPERATOR_CODE)
            if code < len(codes) and codes[code] == OPERATOR:
                options = stored_options(operator)
                found.append(data[options.start : options.start + options.count])
    return found


def _bytes(table: Table, slot: int) -> bytes:
    start, count = table.vector(slot, 1)
    return table.file.data[start : start + count]


def _package(options: bytes) -> Package:
    data = _entry(options, b"4")
    if data[4:8] != _PACKAGE_IDENTIFIER:
        raise OldFormatError(
            "compiled for the Edge TPU in an old format (no DWN1 at byte 4 of its package), which "
            "libedgetpu no longer reads; compile the .tflite anew with edgetpu_compiler"
        )
    table = File(data).root()
    chip, cached, streamed = "", 0, 0
    for executable in _executables(_bytes(table, _PACKAGE_EXECUTABLES)):
        chip = executable.text(_EXECUTABLE_CHIP) or chip
        _, parameters = executable.vector(_EXECUTABLE_PARAMETERS, 1)
        if executable.i8(_EXECUTABLE_TYPE) == PARAMETER_CACHING:
            cached += parameters
        else:
            streamed += parameters
    least, compiler = table.i32(_PACKAGE_LEAST_RUNTIME), table.text(_PACKAGE_COMPILER)
    if least < 0:
        raise ModelError(f"{OPERATOR} needs runtime version {least}")
    return Package(least, chip, compiler, cached, streamed)


def _executables(data: bytes) -> list[Table]:
    """Reads the executables: a vector of strings, each of which holds a FlatBuffers table."""
    file = File(data)
    start, count = file.root().vector(0, 4)
    if count > MAX_EXECUTABLES:
        raise ModelError(f"{OPERATOR} has {count} executables")
    found = []
    for at in range(start, start + 4 * count, 4):
        begin = at + file.number(_UNSIGNED[4], at)
        size = file.number(_UNSIGNED[4], begin)
        found.append(File(data[begin + 4 : begin + 4 + size]).root())
    return found


def _entry(options: bytes, key: bytes) -> bytes:
    """Returns the string or blob under `key` in a FlexBuffers map. The root is at the end: its
    value, its type and its width; every reference is a distance backwards."""
    file = File(options)
    if len(options) < 3 or options[-1] not in _UNSIGNED or options[-2] >> 2 != _FLEX_MAP:
        raise ModelError(f"the options of {OPERATOR} are not a FlexBuffers map")
    values = _back(file, len(options) - 2 - options[-1], options[-1])
    width = 1 << (options[-2] & 3)
    keys = _back(file, values - 3 * width, width)
    key_width = file.number(_UNSIGNED[width], values - 2 * width)
    if key_width not in _UNSIGNED:
        raise ModelError(f"the options of {OPERATOR} have keys of {key_width} bytes")
    count = file.number(_UNSIGNED[width], values - width)
    file.spend(count)
    for index in range(count):
        name = _back(file, keys + index * key_width, key_width)
        if options[name : name + len(key) + 1] == key + b"\0":
            kind = file.number(_UNSIGNED[1], values + count * width + index)
            return _text_or_blob(file, values + index * width, width, kind)
    raise ModelError(f"the options of {OPERATOR} have no package")


def _text_or_blob(file: File, at: int, width: int, kind: int) -> bytes:
    if kind >> 2 not in (_FLEX_STRING, _FLEX_BLOB):
        raise ModelError(f"the package of {OPERATOR} is neither a string nor a blob")
    start, size_width = _back(file, at, width), 1 << (kind & 3)
    size = file.number(_UNSIGNED[size_width], start - size_width)
    if start + size > len(file.data):
        raise ModelError(f"the package of {OPERATOR} is cut off")
    return file.data[start : start + size]


def _back(file: File, at: int, width: int) -> int:
    """Returns the position that the reference at `at` points to. It may be negative; reading
    there raises ModelError."""
    return at - file.number(_UNSIGNED[width], at)
