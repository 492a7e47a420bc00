"""Reads an .npz golden set: a zip of numpy arrays, and its description.

    inputs/NAME.npy     the model's inputs; the first dimension counts the records
    outputs/NAME.npy    the outputs that are expected
    labels/NAME.npy     or the right classes, integers
    golden.json         what the set says of itself: the tolerance that `modelwave golden make`
                        proposes, how the model is loaded, and where the outputs are from

The file may come from anywhere: the zip's directory and the arrays' headers are checked before
anything is unpacked, objects of Python are never read, and one record at a time is in memory.
"""

import contextlib
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Self

import numpy

from modelwave_shared import strict_json
from modelwave_shared.errors import JsonError
from modelwave_shared.golden import GoldenError
from modelwave_shared.limits import MAX_GOLDEN_RECORDS, MAX_TENSOR_BYTES

ZIP_MAGIC = b"PK"
INPUTS, EXPECTED, CLASSES = "inputs/", "outputs/", "labels/"
DESCRIPTION = "golden.json"
# Of a set. Devices unpack it record by record, so this limits their time and not their memory.
MAX_UNPACKED_BYTES = 2**30
MAX_ARRAYS = 48  # 16 of each kind
MAX_DESCRIPTION_BYTES = 16384
MAX_HEADER_BYTES = 4096  # of one array
_MAX_DIRECTORY_BYTES = 2**15  # 300 bytes for each entry are plenty
_END = struct.Struct("<4s4H2IH")  # …, entries, bytes of the directory, its place, the comment's
_END_MAGIC, _LARGE_MAGIC = b"PK\5\6", b"PK\6\7"
_LARGE_BYTES = 20  # of the locator of a zip64's directory
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
# The start of an array: its magic, the version, and how long the header is.
_MAGIC = b"\x93NUMPY"
_LENGTHS = {b"\1\0": struct.Struct("<H"), b"\2\0": struct.Struct("<I")}
# The header: booleans, numbers, texts of a fixed length; no objects, records or times.
_HEADER = re.compile(
    r"\{'descr': '([|<>][biufcSU]\d{1,9})', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), ?\}",
    re.ASCII,
)

Array = numpy.ndarray[Any, Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Stacked:
    """An array of the archive. `shape` is that of one record, as the archive has it."""

    name: str
    dtype: "numpy.dtype[Any]"
    records: int
    shape: tuple[int, ...]

    @property
    def record_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)


class Archive:
    """An open .npz file. `arrays`: {name such as "inputs/image": Stacked}; `records`: how many it
    has. Reading raises GoldenError, which names the array, if the file is damaged."""

    def __init__(self, path: str) -> None:
        """Raises GoldenError if the file is no archive of arrays within our limits, and OSError."""
        self._file = open(path, "rb")  # noqa: SIM115  # close() closes it
        try:
            self._zip = _opened(self._file)
            members = _checked(self._zip.infolist(), self._file.seek(0, 2))
            self._members = {
                name[: -len(".npy")]: info
                for name, info in members.items()
                if name.endswith(".npy")
            }
            self.description = self._described(members.get(DESCRIPTION))
            self.arrays = {name: self._header(name) for name in self._members}
            self.records = _same_count(self.arrays)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        self._zip.close()
        self._file.close()

    def rows(self) -> Iterator[dict[str, Array]]:
        """Yields for each record {name: array}."""
        with contextlib.ExitStack() as stack:
            streams = {}
            for name in self.arrays:
                with _named(name):
                    streams[name] = stack.enter_context(self._zip.open(self._members[name]))
                    _read_header(streams[name], name)
            for _ in range(self.records):
                yield {name: _row(stream, self.arrays[name]) for name, stream in streams.items()}
            for name, stream in streams.items():
                with _named(name):
                    stream.read(1)  # the end of the array, where zipfile compares its checksum

    def _described(self, info: zipfile.ZipInfo | None) -> dict[str, Any]:
        if info is None:
            return {}
        if info.file_size > MAX_DESCRIPTION_BYTES:
            raise GoldenError(
                f"golden: {DESCRIPTION} has {info.file_size} bytes, {MAX_DESCRIPTION_BYTES} at most"
            )
        # A read without a limit unpacks all there is, whatever the directory says of its size.
        with _named(DESCRIPTION), self._zip.open(info) as stream:
            data = stream.read(MAX_DESCRIPTION_BYTES)
        try:
            described = strict_json.loads(data.strip())
        except JsonError as error:
            raise GoldenError(f"golden: {DESCRIPTION}: {error}") from error
        if not isinstance(described, dict):
            raise GoldenError(f"golden: {DESCRIPTION}: it is no JSON object")
        return described

    def _header(self, name: str) -> Stacked:
        info = self._members[name]
        with _named(name), self._zip.open(info) as stream:
            shape, dtype = _read_header(stream, name)
            header_bytes = stream.tell()
        if not shape or not 1 <= shape[0] <= MAX_GOLDEN_RECORDS:
            raise GoldenError(
                f"golden: {name}: the shape {list(shape)}; its first dimension counts the records, "
                f"1 to {MAX_GOLDEN_RECORDS}"
            )
        found = Stacked(name, dtype, shape[0], shape[1:])
        if not 1 <= found.record_bytes <= MAX_TENSOR_BYTES:
            raise GoldenError(
                f"golden: {name}: {found.record_bytes} bytes in a record, "
                f"outside 1 to {MAX_TENSOR_BYTES}"
            )
        if header_bytes + found.records * found.record_bytes != info.file_size:
            raise GoldenError(f"golden: {name}: damaged: its length is not that of its shape")
        return found


def is_archive(path: str) -> bool:
    """Whether the file begins as a zip does. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(len(ZIP_MAGIC)) == ZIP_MAGIC


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    """Opens the zip, whose directory is not longer than zipfile may read at once."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END.size - _LARGE_BYTES))
    tail = file.read()
    end = tail[-_END.size :]
    if len(end) < _END.size or not end.startswith(_END_MAGIC) or end[-2:] != bytes(2):
        raise GoldenError(
            "golden: no .npz file, or it is cut off: the end of the zip is missing; write it with "
            "numpy.savez_compressed"
        )
    if tail.startswith(_LARGE_MAGIC) and len(tail) == _END.size + _LARGE_BYTES:
        raise GoldenError(f"golden: a zip64; a golden set has {MAX_UNPACKED_BYTES} bytes at most")
    directory_bytes = _END.unpack(end)[5]
    if directory_bytes > _MAX_DIRECTORY_BYTES:
        raise GoldenError(f"golden: more files than a golden set has, {MAX_ARRAYS} arrays at most")
    with _named("the zip"):
        return zipfile.ZipFile(file)


def _checked(infos: list[zipfile.ZipInfo], size: int) -> dict[str, zipfile.ZipInfo]:
    """Returns {name: member}, all of them within the limits."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if info.filename in members:
            raise GoldenError(f"golden: {_shown(info.filename)} is in the zip twice")
        if info.flag_bits & _ENCRYPTED or info.compress_type not in _PACKED:
            raise GoldenError(
                f"golden: {_shown(info.filename)}: packed in another way than numpy packs it; "
                "write it with numpy.savez_compressed"
            )
        if not 0 <= info.header_offset < size:
            raise GoldenError(f"golden: {_shown(info.filename)}: damaged: it is outside the file")
        members[info.filename] = info
    arrays = sum(name.endswith(".npy") for name in members)
    if not 1 <= arrays <= MAX_ARRAYS:
        raise GoldenError(f"golden: {arrays} arrays in the zip, needed are 1 to {MAX_ARRAYS}")
    total = sum(info.file_size for info in infos)
    if total > MAX_UNPACKED_BYTES:
        raise GoldenError(
            f"golden: {total} bytes unpacked, {MAX_UNPACKED_BYTES} at most; take fewer records"
        )
    return members


def _read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], "numpy.dtype[Any]"]:
    """Returns (shape, type) of an array, and leaves the stream at its first element. numpy's own
    reader evaluates the header as Python."""
    start = stream.read(len(_MAGIC) + 2)
    length = _LENGTHS.get(start[len(_MAGIC) :])
    if not start.startswith(_MAGIC) or length is None:
        raise GoldenError(f"golden: {name}: no array as numpy.savez_compressed writes it")
    (size,) = length.unpack(stream.read(length.size))
    if size > MAX_HEADER_BYTES:
        raise GoldenError(f"golden: {name}: a header of {size} bytes, {MAX_HEADER_BYTES} at most")
    text = stream.read(size).decode("latin-1").strip()
    header = _HEADER.fullmatch(text)
    if header is None:
        raise GoldenError(
            f"golden: {name}: its elements are {text[:60]!r}; save numbers, booleans, or texts of "
            "a fixed length"
        )
    descr, is_fortran, sides = header.groups()
    shape = tuple(int(side) for side in sides.replace(",", " ").split())
    if is_fortran == "True" and len(shape) > 1:
        raise GoldenError(
            f"golden: {name}: saved column by column; save numpy.ascontiguousarray(it)"
        )
    return shape, numpy.dtype(descr)


def _same_count(arrays: Mapping[str, Stacked]) -> int:
    first = next(iter(arrays.values()))
    for other in arrays.values():
        if other.records != first.records:
            raise GoldenError(
                f"golden: {other.name} has {other.records} records, and {first.name} "
                f"{first.records}: all arrays need the same number"
            )
    return first.records


def _row(stream: IO[bytes], stacked: Stacked) -> Array:
    with _named(stacked.name):
        data = stream.read(stacked.record_bytes)
        if len(data) != stacked.record_bytes:
            raise GoldenError(f"golden: {stacked.name}: cut off")
        return numpy.frombuffer(data, stacked.dtype).reshape(stacked.shape)


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Raises GoldenError, which names the array, for a damaged zip or header."""
    try:
        yield
    except GoldenError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,
        TypeError,
        struct.error,
        NotImplementedError,
        OverflowError,
    ) as error:
        why = " ".join(str(error).split())[:160]
        raise GoldenError(f"golden: {_shown(name)}: damaged: {why}") from error


def _shown(name: str) -> str:
    return repr(name[:60])
