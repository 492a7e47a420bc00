"""Reads FlatBuffers tables from untrusted bytes.

A table begins with a signed offset back to its vtable, which holds its own length, the
table's length, and for each slot (a field's number in the schema) where that field lies in
the table, or 0. A string, a vector and a table inside a table are reached by an unsigned
offset relative to the place that holds it; a vector begins with its count.
(flatbuffers.dev/internals)

Here every offset, length and count is checked against the file before it is followed. Tables
may share their parts, so a small file could describe an endless model. Therefore the elements
read from one file are counted; a genuine file, in which each element takes four bytes of its
own, stays far below the limit."""

from struct import Struct

from modelwave_controller.fit.errors import AGAIN, ModelError

MAX_TEXT_BYTES = 200  # of a name; the rest is cut off
MAX_INTS = 65_536  # of a shape or a list of tensors

_I8, _U8, _U16 = Struct("<b"), Struct("<B"), Struct("<H")
_I32, _U32, _F32, _I64, _U64 = (Struct(form) for form in ("<i", "<I", "<f", "<q", "<Q"))


class File:
    """The bytes of a file, and how many elements may still be read from them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = len(data) + 64

    def spend(self, elements: int) -> None:
        """Counts elements read. Raises ModelError if they are more than a genuine file can hold."""
        self.left -= elements
        if self.left < 0:
            raise ModelError("the file refers to the same parts over and over")

    def number(self, form: Struct, at: int) -> int:
        """Returns the integer at byte `at`. Raises ModelError outside the file."""
        if at < 0 or at + form.size > len(self.data):
            raise ModelError(f"cut off, or an offset points outside the file: byte {at}; {AGAIN}")
        return int(form.unpack_from(self.data, at)[0])

    def root(self) -> "Table":
        return Table(self, self.number(_U32, 0))


class Table:
    """One table; `slot` is a field's number in the schema. An absent field has its default
    value, an absent vector is empty."""

    __slots__ = ("at", "file", "vtable", "vtable_bytes")

    def __init__(self, file: File, at: int) -> None:
        file.spend(1)
        self.file = file
        self.at = at
        self.vtable = at - file.number(_I32, at)
        self.vtable_bytes = file.number(_U16, self.vtable)
        is_odd = self.vtable_bytes % 2  # other readers would take a field that it cuts in two
        if is_odd or self.vtable_bytes < 4 or self.vtable + self.vtable_bytes > len(file.data):
            raise ModelError(f"the table at byte {at} has a vtable of {self.vtable_bytes} bytes")

    def i8(self, slot: int, default: int = 0) -> int:
        return self._number(_I8, slot, default)

    def u8(self, slot: int, default: int = 0) -> int:
        return self._number(_U8, slot, default)

    def i32(self, slot: int, default: int = 0) -> int:
        return self._number(_I32, slot, default)

    def u32(self, slot: int, default: int = 0) -> int:
        return self._number(_U32, slot, default)

    def u64(self, slot: int, default: int = 0) -> int:
        return self._number(_U64, slot, default)

    def table(self, slot: int) -> "Table | None":
        at = self._target(slot)
        return None if at is None else Table(self.file, at)

    def tables(self, slot: int, most: int) -> "list[Table]":
        """Returns a vector of tables. Raises ModelError if there are more than `most`."""
        start, count = self.vector(slot, 4)
        if count > most:
            raise ModelError(f"{count} tables at byte {start}, {most} at most")
        places = range(start, start + 4 * count, 4)
        return [Table(self.file, at + self.file.number(_U32, at)) for at in places]

    def ints(self, slot: int) -> tuple[int, ...]:
        """Returns a vector of int32."""
        start, count = self.vector(slot, 4)
        self.file.spend(count)
        if count > MAX_INTS:
            raise ModelError(f"{count} numbers at byte {start}, {MAX_INTS} at most")
        return Struct(f"<{count}i").unpack_from(self.file.data, start)

    def first_float(self, slot: int) -> float:
        """Returns the first element of a vector of float32; 0.0 if it is empty."""
        start, count = self.vector(slot, 4)
        return float(_F32.unpack_from(self.file.data, start)[0]) if count else 0.0

    def first_long(self, slot: int) -> int:
        """Returns the first element of a vector of int64; 0 if it is empty."""
        start, count = self.vector(slot, 8)
        return self.file.number(_I64, start) if count else 0

    def text(self, slot: int) -> str:
        """Returns a string that can be printed: at most MAX_TEXT_BYTES, no control characters."""
        start, count = self.vector(slot, 1)
        raw = self.file.data[start : start + min(count, MAX_TEXT_BYTES)]
        text = raw.decode("utf-8", "replace")
        return "".join(letter if letter.isprintable() else "?" for letter in text)

    def has(self, slot: int) -> bool:
        """Returns whether the field is there, empty or not."""
        return self._field(slot) is not None

    def name(self, slot: int) -> bytes:
        """Returns a string to compare with others: as it stands, up to the first NUL."""
        start, count = self.vector(slot, 1)
        self.file.spend(count // 4)
        return self.file.data[start : start + count].partition(b"\0")[0]

    def vector(self, slot: int, width: int) -> tuple[int, int]:
        """Returns (first byte, count) of a vector whose elements take `width` bytes each."""
        at = self._target(slot)
        if at is None:
            return 0, 0
        count = self.file.number(_U32, at)
        if at + 4 + count * width > len(self.file.data):
            raise ModelError(f"cut off, or not a vector of {count} elements: byte {at}; {AGAIN}")
        return at + 4, count

    def _number(self, form: Struct, slot: int, default: int) -> int:
        at = self._field(slot)
        return default if at is None else self.file.number(form, at)

    def _target(self, slot: int) -> int | None:
        at = self._field(slot)
        return None if at is None else at + self.file.number(_U32, at)

    def _field(self, slot: int) -> int | None:
        entry = 4 + 2 * slot
        if entry + 2 > self.vtable_bytes:
            return None
        offset = self.file.number(_U16, self.vtable + entry)
        return self.at + offset if offset else None
