"""Reads the fields of protobuf messages (protobuf.dev/programming-guides/encoding), without their
meaning. Raises ModelError for bytes that are none."""

from collections.abc import Iterator
from typing import NamedTuple

from modelwave_controller.fit.errors import AGAIN, ModelError

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # wire types


class Field(NamedTuple):
    """A field of a message. `size` is None for a number, which is `value`; else `value` is the
    place of the first of `size` bytes."""

    number: int
    value: int
    size: int | None


def fields(data: bytes, at: int, end: int) -> Iterator[Field]:
    """Yields the fields of the message at these bytes; those of fixed size are passed over."""
    while at < end:
        key, at = _varint(data, at, end)
        number, kind = key >> 3, key & 7
        if kind == _BYTES:
            size, at = _varint(data, at, end)
            if at + size > end:
                raise ModelError(
                    f"cut off, or damaged: a field at byte {at} has {size} bytes; {AGAIN}"
                )
            yield Field(number, at, size)
            at += size
        elif kind == _VARINT:
            value, at = _varint(data, at, end)
            yield Field(number, value, None)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ModelError(f"no ONNX: byte {at} begins no field")


def messages(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yields (number, first byte, size) of the fields that are bytes."""
    for field in fields(data, at, end):
        if field.size is not None:
            yield field.number, field.value, field.size


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Returns (number, the next byte's place)."""
    number = 0
    for place in range(at, min(at + 10, end)):
        number |= (data[place] & 0x7F) << (7 * (place - at))
        if not data[place] & 0x80:
            return number, place + 1
    raise ModelError(f"cut off, or damaged: byte {at}; {AGAIN}")
