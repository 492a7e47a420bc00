"""Golden sets of hosts with arrays that cannot be what the tolerance says they are: each is a fault
that is said of the set, and never an error of the program."""

import struct
import tracemalloc
import zipfile

import pytest

np = pytest.importorskip("numpy")

from modelwave_agent.host import agreement  # noqa: E402
from modelwave_agent.host.golden import proof  # noqa: E402
from modelwave_agent.host.golden.archive import Archive  # noqa: E402
from modelwave_agent.host.golden.weakness import weakness  # noqa: E402
from modelwave_shared.golden import GoldenError  # noqa: E402
from tests.agent.test_host_golden import Model, elements, npz  # noqa: E402

LABELS = {"judge": "labels", "least_ppm": 600_000}
BOXES = {"judge": "boxes", "iou_ppm": 500_000, "score_ppm": 10_000, "least_ppm": 1}


def tensors(**rules):
    return {"kind": "tensors", "outputs": rules}


def faults(path, model, tolerance):
    """What is said of the set where it is run, and where it is weighed."""
    found = []
    for say in (lambda: proof.judge(model, path, tolerance), lambda: weakness(path, tolerance)):
        try:
            found.append(say())
        except GoldenError as error:
            found.append(str(error))
    return found


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.zeros((2, 2), int), "no integers, one for each record"),
        (np.array([0.0, 1.0]), "no integers, one for each record"),
        (np.array([np.nan, 1]), "no integers, one for each record"),
        (np.array(["0", "1"]), "no integers, one for each record"),
        (np.array([[0], [1]]), ""),
    ],
)
def test_labels_that_are_no_integers_are_a_fault_of_the_set(tmp_path, labels, problem):
    path = npz(tmp_path / "s.npz", inputs__x=np.zeros((2, 1), "<f4"), labels__y=labels)
    answers = [np.float32([[1, 0]]), np.float32([[0, 1]])]
    model = Model([("x", "<f4", (1, 1))], [("y", "<f4", (1, 2))], answers)
    for said in faults(path, model, tensors(y=LABELS)):
        assert problem in said, said
        assert bool(said) is bool(problem)


@pytest.mark.parametrize("dtype", ["|S1", "<c8"])
@pytest.mark.parametrize("role", ["y", "classes", "scores", "count"])
def test_boxes_that_are_no_numbers_are_a_fault_of_the_set(tmp_path, dtype, role):
    arrays = {
        "y": np.ones((1, 4), "<f4"),
        "classes": np.ones(1, "<f4"),
        "scores": np.ones(1, "<f4"),
        "count": np.ones(1, "<f4"),
    }
    arrays[role] = arrays[role].astype(dtype)
    expected = {f"outputs__{name}": array[np.newaxis] for name, array in arrays.items()}
    path = npz(tmp_path / "s.npz", inputs__x=np.zeros((1, 1), "<f4"), **expected)
    outputs = [
        (name, "|S0" if dtype == "|S1" and name == role else array.dtype.str, array.shape)
        for name, array in arrays.items()
    ]
    model = Model([("x", "<f4", (1, 1))], outputs, [arrays])
    rule = BOXES | {"classes": "classes", "scores": "scores", "count": "count"}
    said, weak = faults(path, model, tensors(y=rule))
    assert f"{role}: its elements are no numbers" in said, said
    if role != "classes":  # they do not make a set weak
        assert f"{role}: its elements are no numbers" in weak, weak


def test_live_output_that_is_no_box_disagrees_with_the_candidates_boxes():
    boxes = {"y": np.ones((1, 4), "<f4")}
    for other in (np.array([[b"a"] * 4]), np.ones((1, 4), "<c8")):
        assert not agreement.agree(boxes, {"y": other}, tensors(y=BOXES), "fake")


@pytest.mark.parametrize("dtype", ["|S1", "<c8"])
def test_labels_of_an_output_without_order_are_a_fault_of_the_set(tmp_path, dtype):
    path = npz(tmp_path / "s.npz", inputs__x=np.zeros((1, 1), "<f4"), labels__y=np.array([0]))
    answer = np.array([[1, 0]]).astype(dtype)
    spec = ("y", "|S0" if dtype == "|S1" else dtype, (1, 2))
    said = proof.judge(Model([("x", "<f4", (1, 1))], [spec], [answer]), path, tensors(y=LABELS))
    assert said.startswith("golden: output y: its elements are no numbers"), said


@pytest.mark.parametrize("array", ["inputs", "outputs"])
def test_text_that_is_no_unicode_is_a_fault_of_the_set(tmp_path, array):
    for code in (0xD800, 0x7FFFFFFF):
        texts = {"inputs__x": np.array([["a"], ["b"]]), "outputs__y": np.array([["a"], ["b"]])}
        texts[f"{array}__{'x' if array == 'inputs' else 'y'}"] = np.array(
            [[code], [code]], "<u4"
        ).view("<U1")
        path = npz(tmp_path / "s.npz", **texts)
        model = Model([("x", "|S0", (1,))], [("y", "|S0", (1,))], [np.array([b"a"])] * 2)
        said = proof.judge(model, path, tensors(y=elements()))
        assert said.startswith("golden: a text that is no Unicode"), said


def test_array_of_more_dimensions_than_numpy_has_is_a_fault_of_the_set(tmp_path):
    path = tmp_path / "s.npz"
    npz(path, inputs__x=np.zeros((1,) * 30, "<f4"))
    archive = Archive(str(path))
    archive.arrays["inputs/x"] = type(archive.arrays["inputs/x"])(
        "inputs/x", np.dtype("<f4"), 1, (1,) * 80
    )
    with pytest.raises(GoldenError, match="inputs/x"):
        list(archive.rows())


def test_description_that_is_longer_than_the_zip_says_is_not_unpacked(tmp_path):
    path = tmp_path / "s.npz"
    npz(path, inputs__x=np.zeros((1, 1), "<f4"))
    size = 2**24
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("golden.json", bytes(size))
    data = path.read_bytes()
    assert data.count(struct.pack("<I", size)) == 2  # of its own header, and of the directory
    path.write_bytes(data.replace(struct.pack("<I", size), struct.pack("<I", 10)))
    tracemalloc.start()
    try:
        with pytest.raises(GoldenError, match=r"golden\.json"):
            Archive(str(path))
        assert tracemalloc.get_traced_memory()[1] < size // 8
    finally:
        tracemalloc.stop()
