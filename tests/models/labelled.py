"""Models with TFLite Metadata, as tflite-support writes it: a FlatBuffer that names the files in a
zip behind the model."""

import io
import zipfile
from collections.abc import Sequence

from flatbuffers import Builder

from tests.models import small_models

AXIS_LABELS = 2


def model(
    files: dict[str, bytes],
    described: Sequence[tuple[str, int, str]] | None = None,
    units: int = 4,
    packing: int = zipfile.ZIP_STORED,
) -> bytes:
    """A classifier of `units` classes with `files` behind it; `described` are name, type and locale
    of the files that its metadata names for its output, None for a model without metadata."""
    data = small_models.dense(units)
    if described is not None:
        data = small_models.dense(units, metadata={"TFLITE_METADATA": metadata(described)})
    behind = io.BytesIO()
    behind.write(data)
    with zipfile.ZipFile(behind, "a", packing) as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return behind.getvalue()


def metadata(described: Sequence[tuple[str, int, str]], identifier: bytes = b"M001") -> bytes:
    builder = Builder(512)
    files = [_file(builder, *one) for one in described]
    named = _vector(builder, files)
    name = builder.CreateString("probability")
    builder.StartObject(7)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependUOffsetTRelativeSlot(6, named, 0)
    tensor = builder.EndObject()
    outputs = _vector(builder, [tensor])
    builder.StartObject(7)
    builder.PrependUOffsetTRelativeSlot(3, outputs, 0)
    graph = builder.EndObject()
    graphs = _vector(builder, [graph])
    builder.StartObject(8)
    builder.PrependUOffsetTRelativeSlot(3, graphs, 0)
    builder.Finish(builder.EndObject(), identifier)
    return bytes(builder.Output())


def _file(builder: Builder, name: str, kind: int, locale: str) -> int:
    text, language = builder.CreateString(name), builder.CreateString(locale)
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(0, text, 0)
    builder.PrependInt8Slot(2, kind, 0)
    builder.PrependUOffsetTRelativeSlot(3, language, 0)
    return int(builder.EndObject())


def _vector(builder: Builder, places: Sequence[int]) -> int:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())
