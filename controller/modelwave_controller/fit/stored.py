"""Finds the data of buffers and options in the file.

They are a vector in the flatbuffer, or lie behind it, as converters write them for large models:
then `offset` and `size` say where, counted from the beginning of the file. An offset of 0 or 1
stands for none. TFLM reads the vectors only."""

from dataclasses import dataclass

from modelwave_controller.fit.errors import AGAIN, ModelError
from modelwave_controller.fit.flatbuffer import Table
from modelwave_controller.fit.tflite_schema import Slot

LARGEST_NO_OFFSET = 1
INSIDE = (
    "write the file anew with read_model and write_model of ai_edge_litert.tools.flatbuffer_utils, "
    "which puts them inside"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where data lie in the file; `behind` if that is behind the flatbuffer. (bytes)"""

    start: int
    count: int
    behind: bool = False


def stored_buffer(table: Table) -> Stored:
    """Returns where a buffer's data lie. Raises ModelError if that is outside the file."""
    return _stored(table, Slot.BUFFER_DATA, Slot.BUFFER_OFFSET, Slot.BUFFER_SIZE)


def stored_options(table: Table) -> Stored:
    """Returns where the options of a custom operator lie. Raises ModelError if that is outside
    the file."""
    return _stored(
        table,
        Slot.OPERATOR_CUSTOM_OPTIONS,
        Slot.OPERATOR_LARGE_OPTIONS_OFFSET,
        Slot.OPERATOR_LARGE_OPTIONS_SIZE,
    )


def _stored(table: Table, vector: int, offset_slot: int, size_slot: int) -> Stored:
    start, count = table.vector(vector, 1)
    offset = table.u64(offset_slot)
    if count or offset <= LARGEST_NO_OFFSET:
        return Stored(start, count)
    size = table.u64(size_slot)
    if offset + size > len(table.file.data):
        raise ModelError(
            f"cut off: {size} bytes at byte {offset}, behind the flatbuffer, are not all there; "
            f"{AGAIN}"
        )
    return Stored(offset, size, behind=True)
