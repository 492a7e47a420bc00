"""Reads the options of a custom operator: a FlexBuffers map of small numbers.

A FlexBuffer ends with the root's value, its packed type and its width. A map is a vector of
values, sorted by their keys; before it lie the keys' offset, the width of the keys' elements
and the count. A packed type has the type in its upper six bits, and in its lower two the width
of what the value points to. (flatbuffers.dev/flexbuffers, flexbuffers.h)

TFLM reads most values by their place in that order, so `numbers` is a tuple. It takes the bytes
of a value for an integer whatever its type says, and so does this."""

from dataclasses import dataclass

from modelwave_controller.fit.errors import ModelRefused

MAX_BYTES = 4096  # of the options; those that TFLM knows have some hundred
_MAP = 9  # FBT_MAP


@dataclass(frozen=True, slots=True)
class FlexMap:
    """The keys of a map and its values, in the same order."""

    keys: tuple[bytes, ...]
    numbers: tuple[int, ...]

    def number(self, place: int) -> int:
        """Returns a value by its place. Raises ModelRefused if there is none."""
        if place >= len(self.numbers):
            raise ModelRefused(f"its options have {len(self.numbers)} values, not {place + 1}")
        return self.numbers[place]

    def named(self, key: bytes) -> int:
        """Returns a value by its key; 0 if there is none, as in TFLM."""
        return self.numbers[self.keys.index(key)] if key in self.keys else 0


def read_flex_map(data: bytes) -> FlexMap:
    """Reads the options of an operator. Raises ModelRefused if they are not a map."""
    try:
        return _read(data)
    except (IndexError, ValueError):
        raise ModelRefused("its options are not a FlexBuffers map") from None


def _read(data: bytes) -> FlexMap:
    width, packed = data[-1], data[-2]
    if packed >> 2 != _MAP:
        raise ValueError
    values = _target(data, len(data) - 2 - width, width)
    width = 1 << (packed & 3)
    count = _number(data, values - width, width)
    keys_width = _number(data, values - 2 * width, width)
    keys = _target(data, values - 3 * width, width)
    if count > MAX_BYTES:
        raise ValueError
    return FlexMap(
        tuple(_key(data, keys + i * keys_width, keys_width) for i in range(count)),
        tuple(_number(data, values + i * width, width, signed=True) for i in range(count)),
    )


def _key(data: bytes, at: int, width: int) -> bytes:
    start = _target(data, at, width)
    return data[start : data.index(b"\0", start)]


def _target(data: bytes, at: int, width: int) -> int:
    """Returns the place that the offset at byte `at` points back to."""
    return at - _number(data, at, width)


def _number(data: bytes, at: int, width: int, signed: bool = False) -> int:
    if width not in (1, 2, 4, 8) or not 0 <= at <= len(data) - width:
        raise ValueError
    return int.from_bytes(data[at : at + width], "little", signed=signed)
