"""Tests the fields of a manifest of format version 2: how a model is loaded, and tolerances of
several outputs."""

import json

from modelwave_shared import documents, manifests, tensors
from modelwave_shared.errors import DocumentError, NewerFormatError
from modelwave_shared.limits import MAX_LOADING_BYTES, MAX_SHAPES, MAX_TENSOR_NAME
from modelwave_shared.words import MANIFEST
from tests.core.helpers import refused, sample

STEPS = {"judge": "elements", "absolute": {"any": 2, "tflite-runtime+xnnpack": 5}}
BOXES = {"judge": "boxes", "iou_ppm": 500000, "score_ppm": 10000, "least_ppm": 900000}
LABELS = {"judge": "labels", "least_ppm": 900000}


def second(**changes):
    """A valid manifest of format version 2, with these changes."""
    manifest = sample(MANIFEST)
    manifest["v"] = 2
    manifest.update(changes)
    return manifest


def tolerance(**outputs):
    return second(tolerance={"kind": "tensors", "outputs": outputs})


def problem(manifest):
    return refused(DocumentError, documents.check, MANIFEST, manifest)


def test_what_format_2_can_say_is_accepted_from_there_on_only():
    for changes in (
        {"format": "onnx"},
        {"loading": {"shapes": {"serving_default_x:0": [1, 224, 224, 3]}}},
        {"loading": {"delegates": ["xnnpack"], "providers": ["tensorrt", "cpu"]}},
        {"tolerance": {"kind": "tensors", "outputs": {"scores": STEPS}}},
    ):
        manifest = second(**changes)
        documents.check(MANIFEST, manifest)
        assert manifests.format_version(manifest) == 2
        del manifest["v"]
        assert "manifest.v: 1, but" in problem(manifest)


def test_what_format_1_can_say_needs_no_more():
    assert manifests.format_version(sample(MANIFEST)) == 1


def test_judges_of_outputs_are_accepted():
    relative = {"judge": "elements", "absolute": {"any": 1}, "relative": {"any": 100}}
    boxes = dict(BOXES)
    boxes.update({"classes": "classes", "scores": "scores", "count": "count"})
    documents.check(MANIFEST, tolerance(a=STEPS, b=relative, c=LABELS, d=BOXES, e=boxes))


def test_wrong_judges_are_refused_by_their_path():
    where = "manifest.tolerance.outputs"
    assert problem(tolerance()).startswith(where)
    for judge, field in (
        (None, ".judge"),
        ([], ".judge"),
        ({}, ".judge"),
        ({"judge": ["elements"]}, ".judge"),
        ({"judge": "mean"}, ".judge"),
        ({"judge": "elements"}, ".absolute"),
        ({"judge": "elements", "absolute": {}}, ".absolute"),
        ({"judge": "elements", "absolute": {"any": -1}}, ".absolute.any"),
        ({"judge": "elements", "absolute": {"any": True}}, ".absolute.any"),
        ({"judge": "elements", "absolute": {"any": 1}, "relative": {"any": "1"}}, ".relative.any"),
        ({"judge": "labels", "least_ppm": 0}, ".least_ppm"),
        ({"judge": "labels", "least_ppm": 1000001}, ".least_ppm"),
    ):
        assert problem(tolerance(x=judge)).startswith(where + ".x" + field), judge
    for field in ("iou_ppm", "score_ppm", "least_ppm"):
        boxes = dict(BOXES)
        boxes[field] = 1000001
        assert problem(tolerance(x=boxes)).startswith(where + ".x." + field)
        del boxes[field]
        assert problem(tolerance(x=boxes)).startswith(where + ".x." + field)
    message = refused(NewerFormatError, documents.check, MANIFEST, tolerance(x=with_mood()))
    assert message.startswith(where + ".x.mood: an unknown field")


def with_mood():
    judge = dict(LABELS)
    judge["mood"] = 1
    return judge


def test_wrong_ways_of_loading_are_refused_by_their_path():
    for loading, field in (
        ([], ""),
        ({"shapes": {}}, ".shapes"),
        ({"shapes": {"": [1]}}, ".shapes"),
        ({"shapes": {"two words": [1]}}, ".shapes"),
        ({"shapes": {"x" * (MAX_TENSOR_NAME + 1): [1]}}, ".shapes"),
        ({"shapes": {"x": [1] * 9}}, ".shapes.x"),
        ({"shapes": {"x": [0]}}, ".shapes.x[0]"),
        ({"shapes": {"x": [-1]}}, ".shapes.x[0]"),
        ({"shapes": {"x%d" % number: [1] for number in range(MAX_SHAPES + 1)}}, ".shapes"),
        ({"delegates": []}, ".delegates"),
        ({"delegates": ["gpu"]}, ".delegates[0]"),
        ({"delegates": "xnnpack"}, ".delegates"),
        ({"providers": ["cpu", "cpu"]}, ".providers"),
        ({"providers": ["cpu", "rocm"]}, ".providers[1]"),
        ({"threads": 4}, ".threads"),
    ):
        assert problem(second(loading=loading)).startswith("manifest.loading" + field), loading


def test_loading_fits_the_journal_of_a_device_twice():
    def shapes(backslashes):  # each is two bytes of JSON
        return {"shapes": {"x" + "\\" * (backslashes // 2): [1], "y" + "\\" * 70: [10]}}

    size = len(json.dumps(shapes(0)))
    room = MAX_LOADING_BYTES - size
    documents.check(MANIFEST, second(loading=shapes(room)))
    told = problem(second(loading=shapes(room + 2)))
    assert told.startswith("manifest.loading: "), told
    assert "bytes as JSON, allowed are %d: give fewer shapes" % MAX_LOADING_BYTES in told


def test_a_format_is_a_name():
    documents.check(MANIFEST, second(format="sklearn-json"))
    for wrong in ("", "ONNX", "a b", "../x", 1, None):
        assert problem(second(format=wrong)).startswith("manifest.format")


def test_one_of_the_providers_that_a_release_allows_is_enough():
    cuda = {"tflite": "2.14.0", "onnx": "1.32.0", "onnxruntime+cuda": "1.32.0"}
    cpu = {"onnx": "1.32.0", "onnxruntime": "1.32.0", "onnxruntime+cpu": "1.32.0"}
    wanted = {"providers": ["tensorrt", "cuda"]}
    assert tensors.shortfalls(wanted, cuda) == []
    assert tensors.shortfalls(wanted, cpu) == ["providers: needs tensorrt or cuda, has cpu"]
    assert tensors.shortfalls(wanted, {}) == ["providers: needs tensorrt or cuda, has none"]
    for loading in ({}, {"shapes": {"x": [1]}}, {"delegates": ["xnnpack"]}):
        assert tensors.shortfalls(loading, {}) == [], loading
