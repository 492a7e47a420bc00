"""The fields of a manifest of format version 2, for hosts: how a model is loaded, and the tolerance
of a golden set with several outputs.

    loading     shapes      {input: its shape}, for a model that leaves shapes open
                delegates   parts of a runtime that may compute in its place (xnnpack)
                providers   where ONNX Runtime may compute, the preferred one first
    tolerance   kind        "tensors"
                outputs     {output: how it is judged}
                  elements  each element is off by at most `absolute` + `relative` × the expected
                            one: steps of integers, millionths of floats, and parts per million;
                            each is {configuration: number}, as kernels round differently
                  labels    of all records the share whose greatest element is at the label
                  boxes     of all expected boxes the share that has a box of the same class, with
                            an overlap (intersection over union) and a score as near as this

A configuration is a runtime's name ("tflite-runtime", "onnxruntime"), with "+xnnpack" if a delegate
computes; "any" is for all others. A device of format version 1 reads none of this, so it is written
only where it is needed. Boards import this module only if a manifest has it.
"""

import json

from modelwave_shared.errors import DocumentError
from modelwave_shared.fields import token
from modelwave_shared.limits import (
    MAX_BYTES,
    MAX_LOADING_BYTES,
    MAX_SHAPES,
    MAX_TENSOR_NAME,
    MILLION,
)
from modelwave_shared.rules import Integer, ListOf, MapOf, Object, OneOf, shown
from modelwave_shared.schema import COUNT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from modelwave_shared.fields import Document
    from modelwave_shared.rules import Rule

MAX_OUTPUTS = 16
MAX_RANK = 8
MAX_CONFIGURATIONS = 8
XNNPACK = "xnnpack"
DELEGATES = (XNNPACK,)
PROVIDERS = ("tensorrt", "cuda", "cpu")
_PROVIDER = "onnxruntime+"
NAME_LETTERS = bytes(range(0x21, 0x7F)).decode()
_SHARE = Integer(1, MILLION)


def tensor_name(value: "Any", where: str) -> None:
    """The name of an input or output, as the model's file has it."""
    if (
        type(value) is not str
        or not 1 <= len(value) <= MAX_TENSOR_NAME
        or value.strip(NAME_LETTERS)
    ):
        allowed = "1 to %d characters of printable ASCII without spaces" % MAX_TENSOR_NAME
        raise DocumentError(where, "%s is no tensor's name: %s" % (shown(value), allowed))


class _Choice:
    """A list of different words, at least one."""

    def __init__(self, *words: str) -> None:
        self.rule = ListOf(OneOf(*words), 1, len(words))

    def __call__(self, value: "Any", where: str) -> None:
        self.rule(value, where)
        if len(set(value)) != len(value):
            raise DocumentError(where, "names one of them twice")


_LOADING = Object(
    {},
    {
        "shapes": MapOf(tensor_name, ListOf(Integer(1, MAX_BYTES), 0, MAX_RANK), 1, MAX_SHAPES),
        "delegates": _Choice(*DELEGATES),
        "providers": _Choice(*PROVIDERS),
    },
)


def loading(value: "Any", where: str) -> None:
    _LOADING(value, where)
    size = len(json.dumps(value))
    if size > MAX_LOADING_BYTES:
        allowed = "allowed are %d: give fewer shapes, or inputs shorter names" % MAX_LOADING_BYTES
        raise DocumentError(where, "%d bytes as JSON, %s" % (size, allowed))


_BY_CONFIGURATION = MapOf(token, COUNT, 1, MAX_CONFIGURATIONS)
JUDGES: "dict[str, Rule]" = {
    "elements": Object(
        {"judge": OneOf("elements"), "absolute": _BY_CONFIGURATION},
        {"relative": _BY_CONFIGURATION},
    ),
    "labels": Object({"judge": OneOf("labels"), "least_ppm": _SHARE}),
    "boxes": Object(
        {
            "judge": OneOf("boxes"),
            "iou_ppm": _SHARE,
            "score_ppm": Integer(0, MILLION),
            "least_ppm": _SHARE,
        },
        # The outputs that have the boxes' classes, scores and their number.
        {"classes": tensor_name, "scores": tensor_name, "count": tensor_name},
    ),
}


def _judged(value: "Any", where: str) -> None:
    judge = value.get("judge") if type(value) is dict else None
    if type(judge) is not str or judge not in JUDGES:
        raise DocumentError(where + ".judge", "%s is none of %s" % (shown(judge), _known()))
    JUDGES[judge](value, where)


def _known() -> str:
    return ", ".join(sorted(JUDGES))


OUTPUTS = MapOf(tensor_name, _judged, 1, MAX_OUTPUTS)
TOLERANCE = Object({"kind": OneOf("tensors"), "outputs": OUTPUTS})


def shortfalls(loading: "Document", offers: "Document") -> list[str]:
    """Returns why a device that offers these runtimes, {name: version}, cannot load a model in
    this way; [] if it can. It offers each provider as "onnxruntime+cuda"."""
    wanted = loading.get("providers", [])
    if not wanted or any(_PROVIDER + one in offers for one in wanted):
        return []
    there = [name[len(_PROVIDER) :] for name in sorted(offers) if name.startswith(_PROVIDER)]
    told = "providers: needs %s, has %s"
    return [told % (" or ".join(wanted), ", ".join(there) or "none")]
