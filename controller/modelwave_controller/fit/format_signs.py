"""What a file's format is recognised by: its first and last bytes, files in a zip, fields of a
protocol buffer, or the end of its name."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

from modelwave_controller.fit import zip_list

SAMPLE_BYTES = 1 << 16  # of the file's start, and of its end
_MAX_FIELDS = 64


@dataclass(frozen=True)
class Sample:
    """The parts of a file that are looked at. `suffix` is the end of its name, such as ".onnx"."""

    head: bytes
    tail: bytes
    size: int
    suffix: str = ""

    @cached_property
    def in_zip(self) -> set[str]:
        is_zip = self.head.startswith(b"PK\3\4")
        return zip_list.names(self.head, self.tail) if is_zip else set()

    @cached_property
    def fields(self) -> list["ProtoField"]:
        """The first fields, if the file is a protocol buffer."""
        return list(_proto_fields(self.head))


Sign = Callable[[Sample], bool]


def sample_bytes(data: bytes, suffix: str = "") -> Sample:
    return Sample(data[:SAMPLE_BYTES], data[-SAMPLE_BYTES:], len(data), suffix.lower())


def sample_file(file: BinaryIO, suffix: str = "") -> Sample:
    """Reads the sample, and leaves the file at its start."""
    head = file.read(SAMPLE_BYTES)
    size = file.seek(0, 2)
    file.seek(max(0, size - SAMPLE_BYTES))
    tail = file.read(SAMPLE_BYTES)
    file.seek(0)
    return Sample(head, tail, size, suffix.lower())


def starts(*magics: bytes) -> Sign:
    return lambda sample: sample.head.startswith(magics)


def at(place: int, *magics: bytes) -> Sign:
    return lambda sample: sample.head.startswith(magics, place)


def begins(pattern: bytes) -> Sign:
    """Matches a text at its start, after white space, in any case."""
    form = re.compile(pattern, re.IGNORECASE)
    return lambda sample: form.match(sample.head.removeprefix(b"\xef\xbb\xbf").lstrip()) is not None


def holds(pattern: bytes) -> Sign:
    """Matches anywhere in the first bytes."""
    form = re.compile(pattern)
    return lambda sample: form.search(sample.head) is not None


def suffix(*endings: str) -> Sign:
    return lambda sample: sample.suffix in endings


def zipped(pattern: str) -> Sign:
    """Matches a zip with a file of that name."""
    form = re.compile(pattern)
    return lambda sample: any(form.search(name) for name in sample.in_zip)


def every(*signs: Sign) -> Sign:
    return lambda sample: all(sign(sample) for sign in signs)


def either(*signs: Sign) -> Sign:
    return lambda sample: any(sign(sample) for sign in signs)


def is_empty(sample: Sample) -> bool:
    return sample.size == 0


def is_zeros(sample: Sample) -> bool:
    return sample.size > 0 and not any(sample.head) and not any(sample.tail)


def is_text(sample: Sample) -> bool:
    """Whether the first bytes are UTF-8 without control characters; the last of them may be cut."""
    text = sample.head.decode("utf-8", "replace")
    if sample.size > len(sample.head):
        text = text[:-3]
    return bool(text) and not re.search(r"[^\t\n\f\r -~\x85\xa0-\ufffc\ufeff\U00010000-]", text)


def is_other_flatbuffer(sample: Sample) -> bool:
    """Whether it begins as a FlatBuffer: the position of the root table, then four letters."""
    root = int.from_bytes(sample.head[:4], "little")
    named = re.fullmatch(rb"[A-Z][A-Z0-9_]{3}", sample.head[4:8])
    return named is not None and 8 <= root < sample.size


@dataclass(frozen=True, slots=True)
class ProtoField:
    """One field of a protocol buffer. `kind` is its wire type: 0 a number, which is `value`;
    2 bytes, of which there are `value`, and `first` holds the first 64."""

    number: int
    kind: int
    value: int
    first: bytes


def _proto_fields(data: bytes) -> Iterator[ProtoField]:
    place = 0
    for _ in range(_MAX_FIELDS):
        tag, place = _varint(data, place)
        number, kind = tag >> 3, tag & 7
        if tag < 0 or not number or kind not in (0, 1, 2, 5):
            return
        value, after = (0, place) if kind in (1, 5) else _varint(data, place)
        if value < 0:
            return
        yield ProtoField(number, kind, value, data[after : after + min(value, 64)])
        place = after + {0: 0, 1: 8, 2: value, 5: 4}[kind]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Returns (number, position after it); the number is -1 if there is none."""
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(data):
            return -1, place
        byte, place = data[place], place + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    return -1, place


def _version_first(sample: Sample, most: int) -> bool:
    """Whether field 1 is a version number up to `most`."""
    fields = sample.fields
    return (
        bool(fields)
        and fields[0].number == 1
        and not fields[0].kind
        and (1 <= fields[0].value <= most)
    )


def is_onnx(sample: Sample) -> bool:
    """onnx.proto: ir_version = 1, texts, then graph = 7 or opset_import = 8."""
    numbers = {field.number for field in sample.fields if field.kind == 2}
    known = {2, 3, 4, 6, 7, 8, 14, 20, 25, 26}
    return _version_first(sample, 99) and numbers <= known and bool(numbers & {7, 8})


def is_coreml(sample: Sample) -> bool:
    """Model.proto: specificationVersion = 1, description = 2, then the model = 200 or more."""
    numbers = [field.number for field in sample.fields]
    return _version_first(sample, 99) and 2 in numbers and max(numbers) >= 200


def is_saved_model(sample: Sample) -> bool:
    """saved_model.proto: saved_model_schema_version = 1, then meta_graphs = 2, which begin with
    their meta_info_def = 1."""
    fields = sample.fields[1:]
    return (
        _version_first(sample, 9)
        and bool(fields)
        and all(field.number == field.kind == 2 and field.first[:1] == b"\n" for field in fields)
    )


def is_frozen_graph(sample: Sample) -> bool:
    """graph.proto: node = 1, each with name = 1 and op = 2."""
    fields = sample.fields
    if not fields or any(field.number > 4 for field in fields):
        return False
    inner = list(_proto_fields(fields[0].first))
    return (
        fields[0].number == 1
        and [(field.number, field.kind) for field in inner[:2]] == [(1, 2), (2, 2)]
        and re.match(rb"[A-Z]\w*", inner[1].first) is not None
    )
