"""Models with several inputs or outputs, and their golden sets: a detector with the four outputs of
TFLite's own operator, and a model that joins two inputs."""

import io

import numpy
from flatbuffers import flexbuffers

from modelwave_agent.host.runtimes.litert import LiteRT
from tests.fit.writer import Graph, write

PIXELS, ANCHORS, CLASSES = 12, 4, 2
FOUND = 3  # boxes that the detector gives at most


def detector(seed=1, shift=0.0):
    """A detector: an image of 12 numbers in; boxes, classes, scores and their number out. `shift`
    moves what it finds."""
    graph, numbers = Graph(), numpy.random.default_rng(seed)
    image = graph.tensor([1, PIXELS], "FLOAT32")
    corners = _layer(graph, image, numbers, ANCHORS, 4, shift)
    logits = _layer(graph, image, numbers, ANCHORS, CLASSES + 1, 0.0)
    scores = graph.tensor([1, ANCHORS, CLASSES + 1], "FLOAT32")
    graph.op("LOGISTIC", [logits], [scores])
    anchors = [[y, x, 0.3, 0.3] for y in (0.25, 0.75) for x in (0.25, 0.75)]
    shapes = ([1, FOUND, 4], [1, FOUND], [1, FOUND], [1])
    outputs = [graph.tensor(shape, "FLOAT32") for shape in shapes]
    parts = [corners, scores, graph.constant(anchors, "FLOAT32")]
    graph.op("TFLite_Detection_PostProcess", parts, outputs, custom=_options())
    graph.inputs, graph.outputs = [image], outputs
    return write(graph)


def _layer(graph, image, numbers, rows, columns, shift):
    """A fully connected layer, as rows and columns."""
    units = rows * columns
    weights = numbers.standard_normal((units, PIXELS))
    biases = graph.constant([shift] * units, "FLOAT32")
    flat = graph.tensor([1, units], "FLOAT32")
    parts = [image, graph.constant(weights, "FLOAT32"), biases]
    graph.op("FULLY_CONNECTED", parts, [flat], "FullyConnected")
    made = graph.tensor([1, rows, columns], "FLOAT32")
    shape = graph.constant([1, rows, columns])
    graph.op("RESHAPE", [flat, shape], [made], "Reshape", NewShape=[1, rows, columns])
    return made


def _options():
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Int("max_detections", FOUND)
        builder.Int("max_classes_per_detection", 1)
        builder.Int("num_classes", CLASSES)
        builder.Float("nms_score_threshold", 0.1)
        builder.Float("nms_iou_threshold", 0.5)
        for name in ("y_scale", "x_scale", "h_scale", "w_scale"):
            builder.Float(name, 10.0)
    return bytes(builder.Finish())


def joined(factor=1.0, bias=0):
    """A model of two inputs, floats and integers; two outputs: their product, and the integers
    plus `bias`."""
    graph = Graph()
    left, right = graph.tensor([1, 3], "FLOAT32"), graph.tensor([1, 3], "INT32")
    cast, scaled = graph.tensor([1, 3], "FLOAT32"), graph.tensor([1, 3], "FLOAT32")
    product, more = graph.tensor([1, 3], "FLOAT32"), graph.tensor([1, 3], "INT32")
    graph.op("CAST", [right], [cast], "Cast", InDataType=2, OutDataType=0)
    graph.op("MUL", [left, graph.constant([factor] * 3, "FLOAT32")], [scaled], "Mul")
    graph.op("MUL", [scaled, cast], [product], "Mul")
    graph.op("ADD", [right, graph.constant([bias] * 3)], [more], "Add")
    graph.inputs, graph.outputs = [left, right], [product, more]
    return write(graph)


def loaded(folder, model):
    path = folder / "reference.tflite"
    path.write_bytes(model)
    runtime = LiteRT()
    runtime.load(str(path))
    return runtime


def inputs_of(runtime, records, seed=2):
    """Random inputs of this many records, {name: array}."""
    numbers = numpy.random.default_rng(seed)
    found = {}
    for spec in runtime.inputs:
        values = numbers.uniform(-9, 9, (records, *spec.shape[1:]))
        found[spec.name] = values.astype(spec.dtype)
    return found


def golden_set(runtime, inputs):
    """An .npz with these inputs and the outputs of the loaded model."""
    records = len(next(iter(inputs.values())))
    rows = [
        runtime.run({name: array[at : at + 1] for name, array in inputs.items()})
        for at in range(records)
    ]
    arrays = {f"inputs/{name}": array for name, array in inputs.items()}
    for spec in runtime.outputs:
        arrays[f"outputs/{spec.name}"] = numpy.stack([row[spec.name] for row in rows])
    file = io.BytesIO()
    numpy.savez_compressed(file, **arrays)
    return file.getvalue()


def boxes_rule(runtime):
    """The tolerance of a detector."""
    boxes, classes, scores, count = (spec.name for spec in runtime.outputs)
    rule = {"judge": "boxes", "classes": classes, "scores": scores, "count": count}
    figures = {"iou_ppm": 900_000, "score_ppm": 10_000, "least_ppm": 950_000}
    return {"kind": "tensors", "outputs": {boxes: rule | figures}}


def elements_rule(runtime):
    """A tolerance with each output by its elements."""
    rule = {"judge": "elements", "absolute": {"any": 1}, "relative": {"any": 1000}}
    return {"kind": "tensors", "outputs": {spec.name: rule for spec in runtime.outputs}}
