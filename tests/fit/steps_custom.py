"""Steps of random graphs with the custom operators of TFLM that are no Signal… operators."""

from tests.fit.builder import Builder
from tests.fit.steps_signal import given, options, plain


def custom(b: Builder, x: int) -> None:
    """One of them on tensors of its own."""
    b.rng.choice((circular_buffer, detection))(b)


def circular_buffer(b: Builder) -> int:
    """It keeps its output, a variable, from one inference to the next."""
    slots, width, channels = b.rng.randint(2, 6), b.rng.randint(1, 5), b.rng.randint(1, 20)
    x = b.graph.tensor([1, 1, width, channels])
    b.graph.inputs = [*b.graph.inputs, x]
    output = b.graph.tensor([1, slots, width, channels], variable=True)
    values = options(cycles_max=1) if b.rng.random() < 0.7 else None
    b.graph.op("CIRCULAR_BUFFER", [x], [output], custom=values)
    return output


def detection(b: Builder) -> int:
    boxes, classes, most = b.rng.randint(1, 60), b.rng.randint(1, 12), b.rng.randint(1, 12)
    per_box, regular = b.rng.randint(1, 2), b.rng.random() < 0.3
    inputs = [
        given(b, [1, boxes, 4], "FLOAT32"),
        given(b, [1, boxes, classes + b.rng.randint(0, 1)], "FLOAT32"),
        b.graph.constant([[0.5, 0.5, 1.0, 1.0]] * boxes, "FLOAT32"),
    ]
    found = most * per_box
    outputs = [plain(b, shape, "FLOAT32") for shape in ([1, found, 4], [1, found], [1, found], [1])]
    b.graph.op(
        "TFLite_Detection_PostProcess", inputs, outputs, custom=options(
            max_detections=most, max_classes_per_detection=per_box, num_classes=classes,
            detections_per_class=most, use_regular_nms=regular, nms_score_threshold=0.1,
            nms_iou_threshold=0.5, y_scale=10.0, x_scale=10.0, h_scale=5.0, w_scale=5.0,
        ),
    )  # fmt: skip
    return outputs[0]
