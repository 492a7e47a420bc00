"""The tolerance that `golden make` proposes from the distances between runtimes."""

import io
import json

import pytest

from modelwave_agent.host.runtimes.specs import OPEN, TensorSpec
from modelwave_shared import manifests
from modelwave_shared.golden import GoldenError

np = pytest.importorskip("numpy")

from modelwave_agent.host.golden import (  # noqa: E402
    distances,
    given,
    labels,
    make,
    proposals,
    runs,
    writing,
)
from modelwave_agent.host.golden.distances import Apart  # noqa: E402
from modelwave_agent.host.golden.judges import make as make_judge  # noqa: E402
from modelwave_agent.host.golden.runs import Run  # noqa: E402


@pytest.mark.parametrize(
    ("dtype", "measured", "proposed"),
    [
        ("|i1", {"a": 0}, {"a": 1, "any": 8}),
        ("|i1", {"a": 0, "b": 3}, {"a": 1, "b": 6, "any": 12}),
        ("|i1", {"a": 14}, {"a": 28, "any": 32}),  # an eighth of the range at most
        ("|i1", {"a": 58}, {"a": 116, "any": 116}),
        ("<i2", {"a": 14}, {"a": 28, "any": 56}),
        ("<i8", {"a": 0}, {"a": 0, "any": 0}),  # a class or a count
        ("<i4", {"a": 2}, {"a": 4, "any": 8}),
        ("|b1", {"a": 0}, {"a": 0, "any": 0}),
        ("|S0", {"a": 0}, {"any": 0}),
    ],
)
def test_integers_have_a_margin_over_what_was_measured(dtype, measured, proposed):
    found = {name: Apart(worst) for name, worst in measured.items()}
    assert proposals.elements(dtype, 1, found)["absolute"] == proposed


def test_floats_have_a_relative_margin_and_that_part_of_the_usual_size():
    found = {"a": Apart(0, 0), "b": Apart(900, 300)}
    rule = proposals.elements("<f4", 2.5, found)
    assert rule["relative"] == {"a": 200, "b": 600, "any": 1200}
    assert rule["absolute"] == {"a": 500, "b": 1500, "any": 3000}
    assert proposals.elements("<f2", 1, found)["relative"] == {"a": 1000, "b": 1000, "any": 10000}


def archive(path, *records):
    writing.write(path, {"inputs/x": np.zeros(len(records)), "outputs/y": np.stack(records)})
    return path


def test_each_configuration_passes_the_tolerance_that_was_proposed_from_it(tmp_path):
    """For random outputs of all sizes, with elements near 0."""
    numbers = np.random.default_rng(1)
    for power in range(-7, 7):
        size = 10.0**power
        ones = (numbers.normal(size=(6, 50)) * size).astype("<f4")
        others = (ones + numbers.normal(size=(6, 50)) * size * 1e-4).astype("<f4")
        one, other = archive(tmp_path / "a", *ones), archive(tmp_path / "b", *others)
        usual = distances.sizes(one)
        rule = proposals.elements("<f4", usual["y"], {"o": distances.apart(one, other, usual)["y"]})
        judge = make_judge("y", rule, "o")
        for got, wanted in zip(others, ones, strict=True):
            judge.add({"y": got}, {"outputs/y": wanted})
        assert judge.verdict() == "", (power, rule)


def test_nan_or_another_shape_is_infinitely_far(tmp_path):
    one = archive(tmp_path / "a", np.zeros(3))
    for place, other in enumerate([np.array([0, np.nan, 0]), np.zeros(4), np.zeros(3, "<f4")]):
        far = distances.apart(one, archive(tmp_path / f"b{place}", other), {})["y"]
        assert far.json() == {"worst": None, "relative_ppm": None}


def test_detector_is_known_by_its_four_shapes():
    shapes = [[1, 10, 4], [1, 10], [1, 10], [1]]
    specs = [{"name": str(n), "dtype": "<f4", "shape": shape} for n, shape in enumerate(shapes)]
    assert proposals.is_detector(specs)
    rule = proposals.boxes([spec["name"] for spec in specs])
    manifests.tolerance({"kind": "tensors", "outputs": {"0": rule}}, "tolerance")
    assert (rule["classes"], rule["scores"], rule["count"]) == ("1", "2", "3")
    assert not proposals.is_detector(specs[:3])
    assert not proposals.is_detector([*specs[1:], specs[0]])
    assert proposals.boxes_reached(rule, [(9, 10), (1, 2)])["least_ppm"] == 475_000


def measured_model(outputs, tmp_path):
    path = tmp_path / "run.npz"
    arrays = {f"outputs/{name}": np.arange(4.0) for name in outputs}
    writing.write(path, {"inputs/x": np.arange(4.0), **dict(list(arrays.items())[:40])})
    said = {
        "configuration": "tflite-runtime",
        "outputs": [{"name": name, "dtype": "<f8", "shape": [1]} for name in outputs],
        "seconds": 1,
    }
    apart = {name: Apart() for name in outputs}
    return make.Measured(Run(said, path), apart, True)


@pytest.mark.parametrize("count", [1, 3, 16, 17, 40])
def test_tolerance_of_many_outputs_still_fits_into_a_manifest(tmp_path, count):
    names = [f"StatefulPartitionedCall:{number}" for number in range(count)]
    one = measured_model(names, tmp_path)
    rules = make._rules([one], dict.fromkeys(names, 1.0), {})
    assert len(json.dumps(rules)) <= make.MAX_TOLERANCE_CHARACTERS
    manifests.tolerance({"kind": "tensors", "outputs": rules}, "tolerance")
    left = [name for name in names if name not in rules]
    remarks = make._remarks(one.run, rules)
    assert bool(left) == any("not judged" in remark for remark in remarks)


def test_configuration_that_is_far_away_is_named():
    rule = proposals.elements("|i1", 1, {"a": Apart(0), "b": Apart(58)})
    (remark,) = proposals.remarks("scores", "|i1", rule)
    assert remark.startswith("b is so far from the reference in scores that 116 steps are allowed")


# The inputs.


@pytest.mark.parametrize(
    "dtype", ["|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8", "<c8", "|S0"]
)
def test_random_inputs_have_each_type_and_the_shape(dtype):
    specs = [TensorSpec("x", dtype, (OPEN, 3))]
    made = given.random(specs, 5, seed=0)["x"]
    assert made.shape == (5, 1, 3)
    assert made.dtype == ("|S8" if dtype == "|S0" else dtype)
    assert len(set(made.reshape(5, -1).tobytes())) > 1
    assert made.tobytes() == given.random(specs, 5, seed=0)["x"].tobytes()
    with pytest.raises(GoldenError, match="leaves its shape open"):
        given.random([TensorSpec("x", dtype, (1, OPEN))], 5, seed=0)


def test_inputs_are_found_by_name_or_alone(tmp_path):
    one, two = TensorSpec("a", "<f4", (1,)), TensorSpec("b", "<f4", (1,))
    np.savez(tmp_path / "i.npz", **{"inputs/a": np.zeros(3), "b": np.ones(3), "c": np.ones(3)})
    found = given.read(str(tmp_path / "i.npz"), [one, two])
    assert [array.tolist() for array in found.values()] == [[0, 0, 0], [1, 1, 1]]
    np.savez(tmp_path / "i.npz", anything=np.ones(3))
    assert given.read(str(tmp_path / "i.npz"), [one])["a"].tolist() == [1, 1, 1]
    np.save(tmp_path / "i.npy", np.ones(3))
    assert given.read(str(tmp_path / "i.npy"), [one])["a"].tolist() == [1, 1, 1]
    with pytest.raises(GoldenError, match=r"an \.npy is for one input; save an \.npz with a, b"):
        given.read(str(tmp_path / "i.npy"), [one, two])


def header(shape):
    """An .npy that ends where its elements begin."""
    written = io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(written, described)
    return written.getvalue()


@pytest.mark.parametrize("shape", [(10**12, 64), (2**62, 64), (5, 64)])
def test_npy_whose_elements_are_not_there_is_named_with_its_option(tmp_path, shape):
    (tmp_path / "i.npy").write_bytes(header(shape))
    with pytest.raises(GoldenError, match=r"--inputs: .*i\.npy: .*write it anew with numpy\.save"):
        given.read(str(tmp_path / "i.npy"), [TensorSpec("a", "<f8", (64,))])


def test_npy_with_objects_is_never_unpickled(tmp_path):
    np.save(tmp_path / "i.npy", np.array([{}, []], object), allow_pickle=True)
    with pytest.raises(GoldenError, match=r"--labels: .*no \.npy file"):
        given.read_npy(str(tmp_path / "i.npy"), "--labels")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"classes": np.zeros((3, 2), "<i4")},
            r"classes: records of the shape \[2\]; a label is one",
        ),
        ({"classes": np.linspace(0, 2.5, 3)}, "classes: float64; labels are whole numbers"),
        (
            {"labels/classes": np.array(["1", "2", "3"])},
            "labels/classes: str.*; labels are whole numbers",
        ),
        ({"klasses": np.zeros(3, "<i4")}, "no array of an output: it has klasses, and the outputs"),
        ({"classes": np.zeros(2, "<i4")}, "2 labels, and 3 records; give one for each record"),
    ],
)
def test_labels_of_an_npz_are_whole_numbers_one_for_each_record(tmp_path, arrays, words):
    np.savez(tmp_path / "l.npz", **arrays)
    with pytest.raises(GoldenError, match=f"--labels: {words}"):
        labels.read(str(tmp_path / "l.npz"), ["classes"], 3)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_labels_of_an_npz_may_stand_in_a_column(tmp_path, shape):
    np.savez(
        tmp_path / "l.npz", classes=np.array([7, 0, 255], "|u1").reshape(shape), other=np.ones(3)
    )
    found = labels.read(str(tmp_path / "l.npz"), ["classes"], 3)
    assert {name: array.tolist() for name, array in found.items()} == {"classes": [7, 0, 255]}


def test_floats_are_run_with_several_numbers_of_threads_and_the_farthest_counts(
    tmp_path, monkeypatch
):
    """tflite-runtime sums in another order with two threads: basic-pitch's outputs move by 0.0001,
    and its set was passed here and failed on each device with `threads = 2`."""
    seen = []

    def run(order, python, delegates, threads=0, place=0):
        seen.append((delegates, threads))
        path = archive(tmp_path / f"run-{place}", np.array([1, 1 + threads * 1e-4], dtype))
        said = {"configuration": "+".join(("r", *delegates)), "version": "1", "records": 1}
        spec = {"name": "y", "dtype": np.dtype(dtype).str, "shape": [1, 2]}
        return Run({**said, "outputs": [spec], "seconds": 1}, path)

    monkeypatch.setattr(runs, "run", run)
    monkeypatch.setattr(make, "weakness", lambda path, tolerance: "")
    order = runs.Order(
        model="m",
        format="tflite",
        inputs="",
        random=1,
        seed=0,
        labels="",
        others=(),
        loading={},
        binary=False,
        work=tmp_path,
        out=tmp_path / "set.npz",
        seconds=1,
    )
    dtype = "<f4"
    made = make.make(order)
    assert seen == [(d, n) for d in ((), ("xnnpack",)) for n in (0, 1, 2, 4)]
    assert [one["configuration"] for one in made["configurations"]] == ["r", "r+xnnpack"]
    assert made["configurations"][0]["outputs"]["y"]["worst"] == 400  # millionths, of 4 threads
    assert made["tolerance"]["outputs"]["y"]["relative"]["r"] >= 400
    seen.clear()
    dtype = "<i2"  # integers are the same with any number
    make.make(order)
    assert seen == [((), 0), (("xnnpack",), 0)]
