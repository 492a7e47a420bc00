"""Reads what TFLite Metadata says of the files that were packed behind a model.

A model may have a metadata entry TFLITE_METADATA, whose buffer is a FlatBuffer of its own
(tflite-support, metadata_schema.fbs, 1.5): it describes inputs and outputs, and names the files in
the zip that follows the model, with what each is for."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelwave_controller.fit.errors import ModelError
from modelwave_controller.fit.flatbuffer import File, Table
from modelwave_controller.fit.model import MAX_BUFFERS, MAX_METADATA
from modelwave_controller.fit.stored import stored_buffer
from modelwave_controller.fit.tflite_schema import Slot

MAX_DESCRIBED = 256  # subgraphs, tensors and files, each
AXIS_LABELS, VALUE_LABELS = 2, 3  # enum AssociatedFileType

NAME = "TFLITE_METADATA"
_IDENTIFIER = b"M001"  # at byte 4

# Slots of metadata_schema.fbs.
_MODEL_SUBGRAPHS, _MODEL_FILES = 3, 6
_GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_FILES = 2, 3, 4
_TENSOR_NAME, _TENSOR_FILES = 0, 6
_FILE_NAME, _FILE_KIND, _FILE_LOCALE = 0, 2, 3


@dataclass(frozen=True, slots=True)
class AssociatedFile:
    """A file that the metadata names. `owner` is what it is for: "model", "input 0" or
    "output 1 category"; `locale` is its language, "" for all."""

    name: str
    kind: int
    locale: str
    owner: str


def entry(data: bytes, name: str) -> bytes:
    """Returns the contents of a model's metadata entry; b"" if there is none of that name. Raises
    ModelError."""
    root = File(data).root()
    buffers = root.tables(Slot.MODEL_BUFFERS, MAX_BUFFERS)
    for table in root.tables(Slot.MODEL_METADATA, MAX_METADATA):
        number = table.u32(Slot.METADATA_BUFFER)
        if table.text(Slot.METADATA_NAME) == name and number < len(buffers):
            buffer = stored_buffer(buffers[number])
            return data[buffer.start : buffer.start + buffer.count]
    return b""


def associated_files(data: bytes) -> list[AssociatedFile]:
    """Returns the files that the model's metadata names; none without metadata. Raises
    ModelError."""
    described = entry(data, NAME)
    if not described:
        return []
    if described[4:8] != _IDENTIFIER:
        raise ModelError("the metadata is of another version: no M001 at byte 4")
    root = File(described).root()
    return [*_files(root, _MODEL_FILES, "model"), *_of_subgraphs(root)]


def _of_subgraphs(root: Table) -> Iterator[AssociatedFile]:
    for graph in root.tables(_MODEL_SUBGRAPHS, MAX_DESCRIBED):
        yield from _files(graph, _GRAPH_FILES, "model")
        for slot, owner in ((_GRAPH_INPUTS, "input"), (_GRAPH_OUTPUTS, "output")):
            for index, tensor in enumerate(graph.tables(slot, MAX_DESCRIBED)):
                name = f"{owner} {index} {tensor.text(_TENSOR_NAME)}".strip()
                yield from _files(tensor, _TENSOR_FILES, name)


def _files(table: Table, slot: int, owner: str) -> Iterator[AssociatedFile]:
    for one in table.tables(slot, MAX_DESCRIBED):
        yield AssociatedFile(
            one.text(_FILE_NAME), one.i8(_FILE_KIND), one.text(_FILE_LOCALE), owner
        )
