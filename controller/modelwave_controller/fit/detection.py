"""The arena allocations of TFLite_Detection_PostProcess, which chooses the boxes of a detector
(detection_postprocess.cc)."""

from collections.abc import Callable

from modelwave_controller.fit.errors import ModelRefused
from modelwave_controller.fit.node import Node

LARGEST_OPTION = 1 << 16  # boxes or classes
COORDINATES = 4  # of a box


def detection(node: Node) -> None:
    boxes, scores = node.input(0), node.input(1)
    node.input(2)
    most, classes = _option(node, b"max_detections"), _option(node, b"num_classes")
    if scores.dim(2) - classes not in (0, 1):  # one may be the background
        raise ModelRefused(f"its scores are of {scores.dim(2)} classes, its options of {classes}")
    per_box = min(_option(node, b"max_classes_per_detection"), classes)
    count = boxes.dim(1)
    _check_outputs(node, most * (1 if node.flex.named(b"use_regular_nms") else per_box))
    for size in (
        count,  # active candidates
        count * COORDINATES * 4,  # decoded boxes
        scores.dim(1) * scores.dim(2) * 4,
        count * 4,  # scores, and those that are kept
        count * 4,
        most * count * 4,  # scores after suppression, and their values in order
        most * count * 4,
        count * 4,  # indices that are kept
        most * count * 4,  # indices in order
        max(classes, most) * count * 4,
        min(count, most) * count * 4,  # selected
    ):
        node.scratch(size)


def _option(node: Node, key: bytes) -> int:
    value = node.flex.named(key)
    if not 1 <= value <= LARGEST_OPTION:
        raise ModelRefused(f"its option {key.decode()} is {value}")
    return value


def _check_outputs(node: Node, most: int) -> None:
    """Raises ModelRefused if an output has no room for the boxes; TFLM does not check it."""
    wanted = (most * COORDINATES, most, most, 1)
    for output, values in zip(node.operator.outputs, wanted, strict=True):
        if output.elements < values:
            raise ModelRefused(f"output {output.index} has {output.elements} values, not {values}")


FUNCTIONS: dict[str, Callable[[Node], None]] = {"detection": detection}
