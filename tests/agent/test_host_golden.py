"""Golden sets of hosts: archives of several inputs and outputs, how outputs are judged, files that
were made to do harm, and sets that cannot fail."""

import io
import re
import struct
import zipfile

import pytest

from modelwave_agent.host.runtimes.port import HostRuntime, RuntimeSettings
from modelwave_agent.host.runtimes.specs import OPEN, TensorSpec
from modelwave_agent.ports import ProofError
from modelwave_shared import golden
from modelwave_shared.golden import GoldenError

np = pytest.importorskip("numpy")

from modelwave_agent.host.golden import archive, faulty, proof  # noqa: E402
from modelwave_agent.host.golden.archive import Archive  # noqa: E402
from modelwave_agent.host.golden.judges import Boxes, overlap  # noqa: E402
from modelwave_agent.host.golden.weakness import weakness  # noqa: E402

NAN, INFINITY = float("nan"), float("inf")


class Model(HostRuntime):
    """Answers with arrays in turn."""

    name = "fake"

    def __init__(self, inputs, outputs, answers):
        super().__init__(RuntimeSettings())
        self.inputs = tuple(TensorSpec(*one) for one in inputs)
        self.outputs = tuple(TensorSpec(*one) for one in outputs)
        self.answers = iter(answers)

    def _run(self, inputs):
        answer = next(self.answers)
        return answer if isinstance(answer, dict) else {self.outputs[0].name: answer}


def npz(path, **arrays):
    np.savez_compressed(path, **{name.replace("__", "/"): array for name, array in arrays.items()})
    return str(path)


def judged(tmp_path, expected, answers, rule, dtype="<f4", shape=(1, 2), **more):
    """Judges the output "y" of a model with the input "x"."""
    expected = np.array(expected, dtype)
    xs = np.zeros((len(expected), 1), "<f4")
    path = npz(tmp_path / "set.npz", inputs__x=xs, outputs__y=expected, **more)
    answers = [np.array(one, dtype).reshape(shape) for one in answers]
    model = Model([("x", "<f4", (1, 1))], [("y", np.dtype(dtype).str, shape)], answers)
    return proof.judge(model, path, {"kind": "tensors", "outputs": {"y": rule}})


def elements(any_=0, **more):
    return {"judge": "elements", "absolute": {"any": any_}} | more


# Elements.


@pytest.mark.parametrize(
    ("rule", "off", "is_right"),
    [
        (elements(10), 10, True),
        (elements(10), 11, False),
        (elements(0, relative={"any": 1000}), 2000, True),  # 1000 ppm of 2 is 2000 millionths
        (elements(0, relative={"any": 1000}), 2010, False),
        (elements(500, relative={"any": 1000}), 2400, True),
        (elements(0, absolute={"any": 0, "fake": 50}), 50, True),
        (elements(0, absolute={"any": 50, "fake": 0}), 50, False),
        (elements(0, absolute={"any": 0}, relative={"any": 0, "fake": 1000}), 1900, True),
    ],
)
def test_float_is_right_up_to_absolute_and_relative_difference(tmp_path, rule, off, is_right):
    said = judged(tmp_path, [[2, -2]], [[2 + off / 1e6, -2]], rule, "<f8")
    assert (said == "") is is_right, said
    if not is_right:
        assert said.startswith("golden set: output y: 1 of 1 records are off by more than")


def test_difference_is_said_in_the_unit_of_the_output(tmp_path):
    rule = elements(1, relative={"any": 10})
    assert judged(tmp_path, [[2, 2]], [[2, 2.000081]], rule, "<f8") == (
        "golden set: output y: 1 of 1 records are off by more than 1e-06 + 10 ppm on fake, "
        "worst 8.1e-05"
    )
    assert "off by more than 1 step on fake, worst 3" in judged(
        tmp_path, [[2, 2]], [[5, 2]], elements(1), "<i4"
    )
    assert "1 of 1 records are other texts" in judged(
        tmp_path, [[b"a", b""]], [[b"b", b""]], elements(0), "|S1"
    )


@pytest.mark.parametrize("dtype", ["|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"])
def test_integer_steps_are_exact_at_both_ends_of_each_type(tmp_path, dtype):
    ends = np.iinfo(dtype)
    assert (
        judged(tmp_path, [[ends.min, ends.max]], [[ends.min + 1, ends.max - 1]], elements(1), dtype)
        == ""
    )
    assert judged(tmp_path, [[ends.min, 7]], [[ends.min, 9]], elements(1), dtype)
    assert judged(tmp_path, [[ends.min, 7]], [[ends.max, 7]], elements(2**7), dtype)


def test_booleans_and_halves_and_complex_numbers_are_judged(tmp_path):
    assert judged(tmp_path, [[True, False]], [[True, False]], elements(), "|b1") == ""
    assert judged(tmp_path, [[True, False]], [[True, True]], elements(), "|b1")
    assert judged(tmp_path, [[1, 2]], [[1, 2]], elements(), "<f2") == ""
    assert judged(tmp_path, [[1j, 2]], [[1j, 2.5]], elements(500_000), "<c8") == ""
    assert judged(tmp_path, [[1j, 2]], [[2j, 2]], elements(500_000), "<c8")


def test_nan_is_never_right_and_infinity_only_where_it_is_expected(tmp_path):
    wide = elements(2**40, relative={"any": 10**6})
    assert judged(tmp_path, [[1, NAN]], [[1, NAN]], wide)
    assert judged(tmp_path, [[1, 1]], [[1, NAN]], wide)
    assert judged(tmp_path, [[1, INFINITY]], [[1, INFINITY]], wide) == ""
    assert judged(tmp_path, [[1, INFINITY]], [[1, 5]], wide)
    assert judged(tmp_path, [[1, 5]], [[1, INFINITY]], wide)


def test_texts_have_to_be_equal(tmp_path):
    def said(answer):
        xs = np.array([["a"], ["b"]])
        path = npz(tmp_path / "t.npz", inputs__x=xs, outputs__y=np.array([["ja"], ["né"]]))
        answers = [np.array([[one.encode()]], object) for one in answer]
        model = Model([("x", "|S0", (1, 1))], [("y", "|S0", (1, 1))], answers)
        return proof.judge(model, path, {"kind": "tensors", "outputs": {"y": elements()}})

    assert said(["ja", "né"]) == ""
    assert "1 of 2 records" in said(["ja", "no"])


def test_tolerance_without_a_figure_for_the_runtime_is_said(tmp_path):
    rule = {"judge": "elements", "absolute": {"tflite-runtime": 1}}
    assert judged(tmp_path, [[1, 2]], [[1, 2]], rule) == (
        "tolerance.outputs.y.absolute names neither fake nor any: it must have a figure for one"
    )


# Labels.


def test_labels_are_right_by_the_sole_greatest_element(tmp_path):
    answers = [[0, 1], [1, 0], [1, 1], [NAN, 1]]

    def said(least):
        more = {"labels__y": np.array([1, 0, 0, 1])}
        rule = {"judge": "labels", "least_ppm": least}
        return judged(tmp_path, [[0, 0]] * 4, answers, rule, **more)

    assert said(500_000) == ""
    assert "2 of 4 labels right (500000 ppm, least 500001)" in said(500_001)


@pytest.mark.parametrize("label", [2, -1])
def test_label_beyond_the_output_is_named(tmp_path, label):
    rule = {"judge": "labels", "least_ppm": 1}
    more = {"labels__y": np.array([label])}
    said = judged(tmp_path, [[0, 0]], [[0, 1]], rule, **more)
    assert said == f"golden: labels/y: the label {label}, and the output has 2 elements"


# Boxes.

DETECTOR = {
    "judge": "boxes",
    "classes": "c",
    "scores": "s",
    "count": "n",
    "iou_ppm": 500_000,
    "score_ppm": 100_000,
    "least_ppm": 1_000_000,
}


def detected(boxes, classes, scores, count=None):
    return {
        "b": np.array([boxes], "<f4"),
        "c": np.array([classes], "<f4"),
        "s": np.array([scores], "<f4"),
        "n": np.array([len(boxes) if count is None else count], "<f4"),
    }


CAT, DOG, NOTHING = [0, 0, 2, 2], [4, 4, 6, 6], [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("found", "right"),
    [
        (detected([CAT, DOG], [1, 2], [0.9, 0.8]), 2),
        (detected([DOG, CAT], [2, 1], [0.8, 0.9]), 2),  # in another order
        (detected([[0, 0, 2, 1.1], DOG], [1, 2], [0.9, 0.8]), 2),
        (detected([[0, 0, 2, 0.9], DOG], [1, 2], [0.9, 0.8]), 1),  # half of it overlaps
        (detected([CAT, DOG], [2, 2], [0.9, 0.8]), 1),  # another class
        (detected([CAT, DOG], [1, 2], [0.7, 0.8]), 1),  # another score
        (detected([CAT, DOG], [1, 2], [0.9, 0.8], 1), 1),  # the second is behind the count
        (detected([CAT, CAT], [1, 1], [0.9, 0.9]), 1),  # one box found twice is one box
        (detected([NOTHING, NOTHING], [0, 0], [0, 0], 0), 0),
        (detected([[NAN] * 4, DOG], [1, 2], [0.9, 0.8]), 1),
    ],
)
def test_expected_boxes_are_matched_once_each(found, right):
    wanted = {f"outputs/{name}": a for name, a in detected([CAT, DOG], [1, 2], [0.9, 0.8]).items()}
    assert Boxes("b", DETECTOR).count(found, wanted) == (right, 2)


def test_found_box_serves_for_one_expected_box_only():
    expected = detected([CAT, CAT], [1, 1], [0.9, 0.9])
    wanted = {f"outputs/{name}": array for name, array in expected.items()}
    found = detected([CAT, DOG], [1, 2], [0.9, 0.8])
    assert Boxes("b", DETECTOR).count(found, wanted) == (1, 2)


def test_rows_without_a_score_are_no_expected_boxes():
    rule = {name: value for name, value in DETECTOR.items() if name != "count"}
    wanted = detected([CAT, NOTHING, NOTHING], [1, 0, 0], [0.9, 0, 0])
    judge = Boxes("b", rule)
    assert judge.count(wanted, {f"outputs/{n}": a for n, a in wanted.items()}) == (1, 1)
    assert (
        judge.verdict() == "golden set: output b: the golden set expects no box"
    )  # none was added


def test_overlap_is_the_shared_part_of_both():
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((2, 2, 0, 0), (0, 0, 2, 2)) == pytest.approx(1)
    assert overlap((0, 0, 1, 1), (1, 1, 2, 2)) == 0
    assert overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 1


# The set against the model.


def two_in_four_out():
    inputs = [("image", "|u1", (1, 2, 2)), ("gain", "<f4", (1,))]
    outputs = [
        ("b", "<f4", (1, 2, 4)),
        ("c", "<f4", (1, 2)),
        ("s", "<f4", (1, 2)),
        ("n", "<f4", (1,)),
    ]
    return inputs, outputs


def detector_set(tmp_path, **changes):
    answer = detected([CAT, DOG], [1, 2], [0.9, 0.8])
    arrays = {
        "inputs/image": np.zeros((3, 2, 2), "|u1"),
        "inputs/gain": np.ones(3, "<f4"),
        **{f"outputs/{name}": np.repeat(array, 3, 0) for name, array in answer.items()},
    } | changes
    kept = {name: array for name, array in arrays.items() if array is not None}
    np.savez(tmp_path / "d.npz", **kept)
    return str(tmp_path / "d.npz"), answer


def test_detector_of_two_inputs_and_four_outputs_is_judged(tmp_path):
    path, answer = detector_set(tmp_path)
    tolerance = {"kind": "tensors", "outputs": {"b": DETECTOR}}
    assert proof.judge(Model(*two_in_four_out(), [answer] * 3), path, tolerance) == ""
    wrong = detected([DOG, CAT], [1, 2], [0.9, 0.8])
    said = proof.judge(Model(*two_in_four_out(), [answer, wrong, answer]), path, tolerance)
    assert said == "golden set: output b: 4 of 6 boxes found (666666 ppm, least 1000000)"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs/gain": None}, "inputs/gain is missing: the model has this input"),
        ({"inputs/zoom": np.ones(3)}, "'inputs/zoom': the model has no such tensor"),
        ({"outputs/x": np.ones(3)}, "'outputs/x': the model has no such tensor"),
        (
            {"inputs/gain": np.ones(3, "<f8")},
            "gain: the model takes float32, and got float64",
        ),
        ({"inputs/image": np.ones((3, 4), "|u1")}, r"input image: the model takes the shape"),
        (
            {"outputs/s": np.ones((3, 2), "<i8")},
            "s has int64, and the model's output float32",
        ),
        ({"outputs/s": np.ones((3, 3), "<f4")}, r"outputs/s has records of the shape \[3\]"),
        ({"outputs/s": None}, "outputs/s is missing: tolerance.outputs.b judges by it"),
        ({"inputs/gain": np.ones(2, "<f4")}, "inputs/gain has 2 records, and inputs/image 3"),
    ],
)
def test_set_that_does_not_match_the_model_names_the_array(tmp_path, changes, words):
    path, answer = detector_set(tmp_path, **changes)
    tolerance = {"kind": "tensors", "outputs": {"b": DETECTOR}}
    try:
        said = proof.judge(Model(*two_in_four_out(), [answer] * 3), path, tolerance)
    except ValueError as error:  # InputError, which prove.py says
        said = str(error)
    assert re.search(words, said), said


def test_tolerance_of_an_output_that_the_model_lacks_is_named(tmp_path):
    path = npz(tmp_path / "s.npz", inputs__x=np.zeros((1, 1), "<f4"), outputs__y=np.zeros((1, 2)))
    model = Model([("x", "<f4", (1, OPEN))], [("z", "<f4", (1, 2))], [])
    said = proof.judge(model, path, {"kind": "tensors", "outputs": {"y": elements()}})
    assert "'outputs/y': the model has no such tensor" in said


# Files that were made to do harm.


def zipped(members, **options):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, **options) as made:
        for name, content in members:
            made.writestr(name, content)
    return data.getvalue()


def npy(array, **options):
    data = io.BytesIO()
    np.lib.format.write_array(data, array, **options)
    return data.getvalue()


def refused(tmp_path, data, words):
    path = tmp_path / "hostile.npz"
    path.write_bytes(data)
    with pytest.raises(GoldenError, match=words), Archive(str(path)) as opened:
        for _ in opened.rows():
            pass


GOOD = npy(np.arange(6, dtype="<f4").reshape(3, 2))


def header(shape, descr="<f4"):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text + b"\n"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([], "0 arrays in the zip"),
        ([("notes.txt", b"x")], "0 arrays in the zip"),
        (
            [(f"inputs/x{n}.npy", GOOD) for n in range(49)],
            "49 arrays in the zip",
        ),
        ([(f"a{n:03}" + "x" * 200, b"") for n in range(300)], "more files than a golden set has"),
        ([("inputs/x.npy", npy(np.array([{}, []], object)))], "its elements are"),
        ([("inputs/x.npy", npy(np.zeros(3, "<f4,<i4")))], "its elements are"),
        ([("inputs/x.npy", npy(np.zeros(3, "<M8[s]")))], "its elements are"),
        ([("inputs/x.npy", npy(np.zeros((), "<f4")))], r"the shape \[\]; its first dimension"),
        ([("inputs/x.npy", npy(np.zeros((0, 2), "<f4")))], r"the shape \[0, 2\]"),
        ([("inputs/x.npy", npy(np.zeros((2, 0), "<f4")))], "0 bytes in a record"),
        ([("inputs/x.npy", npy(np.zeros((4097, 1), "|i1")))], "counts the records, 1 to 4096"),
        ([("inputs/x.npy", npy(np.zeros((2, 3), "<f4").T.copy("F")))], "saved column by column"),
        ([("inputs/x.npy", header((2, 2**40)))], "bytes in a record, outside 1 to 16777216"),
        ([("inputs/x.npy", header((3, 2)) + bytes(23))], "its length is not that of its shape"),
        ([("inputs/x.npy", header((3, 2)) + bytes(25))], "its length is not that of its shape"),
        ([("inputs/x.npy", header((3, -2)))], "its elements are"),
        ([("inputs/x.npy", header("().__class__"))], "its elements are"),
        ([("inputs/x.npy", header("(" * 3000))], "its elements are"),
        ([("inputs/x.npy", header("1" * 9000))], "a header of 90"),
        ([("inputs/x.npy", b"")], "no array as numpy"),
        ([("inputs/x.npy", GOOD[:50])], "its elements are"),
        ([("inputs/x.npy", b"\x93NUMPY\x09\x00" + GOOD[8:])], "no array as numpy"),
        ([("inputs/x.npy", GOOD), ("golden.json", b"{" * 9)], "golden.json: "),
        ([("inputs/x.npy", GOOD), ("golden.json", b"[1]")], "it is no JSON object"),
        ([("inputs/x.npy", GOOD), ("golden.json", b" " * 20000)], "golden.json has 20000 bytes"),
    ],
)
def test_archive_that_is_none_is_refused_with_the_reason(tmp_path, members, words):
    refused(tmp_path, zipped(members), words)


def test_bomb_is_refused_before_it_is_unpacked(tmp_path):
    bomb = header((2, 2**30), "|i1") + bytes(2**20)
    refused(tmp_path, zipped([("inputs/x.npy", bomb)]), "1073741824 bytes in a record")
    data = bytearray(zipped([("inputs/x.npy", GOOD)]))
    entry = data.rfind(b"PK\1\2")
    data[entry + 24 : entry + 28] = struct.pack("<I", 2**31)  # as if it were that long
    refused(tmp_path, bytes(data), "2147483648 bytes unpacked, 1073741824 at most")


def test_zip_with_a_tail_or_twice_the_same_name_is_refused(tmp_path):
    good = zipped([("inputs/x.npy", GOOD)])
    refused(tmp_path, good + b"x", "the end of the zip is missing")
    refused(tmp_path, good[:-1], "the end of the zip is missing")
    refused(tmp_path, b"PK", "the end of the zip is missing")
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped([("inputs/x.npy", GOOD), ("inputs/x.npy", GOOD)])
    refused(tmp_path, twice, "in the zip twice")


def test_every_flipped_byte_is_refused_or_changes_nothing_that_is_read(tmp_path):
    """No other error than GoldenError comes out, whichever byte is damaged."""
    np.savez_compressed(tmp_path / "a.npz", **{"inputs/x": np.arange(6.0).reshape(3, 2)})
    good = (tmp_path / "a.npz").read_bytes()
    path = tmp_path / "flipped.npz"
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :])
        try:
            with Archive(str(path)) as opened:
                rows = list(opened.rows())
        except GoldenError:
            continue
        if "inputs/x" in opened.arrays:
            assert [row["inputs/x"].tolist() for row in rows] == [[0, 1], [2, 3], [4, 5]]


def test_one_record_at_a_time_is_in_memory(tmp_path):
    path = npz(tmp_path / "s.npz", inputs__x=np.zeros((64, 2**16), "|i1"))
    with Archive(path) as opened:
        sizes = [row["inputs/x"].nbytes for row in opened.rows()]
    assert sizes == [2**16] * 64
    assert archive.MAX_UNPACKED_BYTES == 2**30  # documented in docs/golden.md


# Faults.


@pytest.mark.parametrize("error", [MemoryError(), ValueError("shape"), ProofError("no")])
def test_fault_that_raises_anything_is_noticed_and_undone(tmp_path, error):
    path = npz(tmp_path / "s.npz", inputs__x=np.arange(2.0), outputs__y=np.arange(2.0))
    copied = tmp_path / "model"
    copied.write_bytes(bytes(4))
    seen = []

    class Faulty(Model):
        def load(self, path, loading):
            seen.append(copied.read_bytes())
            self.inputs = (TensorSpec("x", "<f8", (1,)),)
            self.outputs = (TensorSpec("y", "<f8", (1,)),)
            if len(seen) == 2:
                raise error

        def unload(self):
            pass

        def _run(self, inputs):
            # The first model is sound, the third is wrong in its second record.
            return {"y": inputs["x"] + (len(seen) == 3 and inputs["x"][0] == 1)}

    tolerance = {"kind": "tensors", "outputs": {"y": elements()}}
    faults = [(0, 1), (1, 2), (3, 128)]
    model = Faulty([], [], [])
    found = list(faulty.results(model, copied, path, tolerance, {}, faults, 60))
    assert found == [None, 1, 2]
    assert seen == [b"\1\0\0\0", b"\0\2\0\0", b"\0\0\0\x80"]
    assert copied.read_bytes() == bytes(4)


# Sets that cannot fail.


def binary(tmp_path, expected, kind="o"):
    path = tmp_path / "set.golden"
    types = ("b", 3) if kind == "l" else "b"
    path.write_bytes(
        golden.pack(kind, "b", types, [bytes([n]) for n in range(len(expected))], expected)
    )
    return str(path)


@pytest.mark.parametrize(
    ("expected", "steps", "words"),
    [
        ([b"\x80\x7f\0", b"\x7f\0\x80"], {"any": 255}, "all one same number passes it"),
        ([b"\x80\x7f\0", b"\x7f\0\x80"], {"any": 1, "tflite-runtime": 128}, "tflite-runtime=128"),
        ([b"\x01\x07\x01"] * 2, {"any": 1}, "answers all 2 records alike passes"),
        ([b"\x01\x07\x01", b"\x03\x05\x03"], {"any": 1}, "answers all 2 records alike passes"),
        ([b"\x05\x05\x05"], {"any": 0}, "all one same number passes it"),
        ([b"\x01\x07\x01", b"\x04\x05\x03"], {"any": 1}, ""),
        ([b"\x01\x07\x01"], {"any": 1}, ""),
    ],
)
def test_outputs_that_one_constant_answer_passes_are_a_set_that_cannot_fail(
    tmp_path, expected, steps, words
):
    said = weakness(binary(tmp_path, expected), {"kind": "outputs", "steps": steps})
    assert said == "" or said.startswith("its output: ")
    assert words in said
    assert bool(said) == bool(words)


@pytest.mark.parametrize(
    ("labels", "least", "words"),
    [
        ([0, 1, 2], 0, "a model that always answers 0 passes it"),
        ([1, 1, 2], 600_000, "always answers 1 passes it, 2 of 3 labels are 1"),
        ([2], 900_000, "always answers 2"),
        ([1, 1, 2], 700_000, ""),
    ],
)
def test_labels_of_mostly_one_class_are_a_set_that_cannot_fail(tmp_path, labels, least, words):
    tolerance = {"kind": "labels", "least_ppm": least}
    said = weakness(binary(tmp_path, labels, "l"), tolerance)
    assert words in said
    assert bool(said) == bool(words)


def test_set_can_fail_if_one_of_its_outputs_can(tmp_path):
    path = npz(
        tmp_path / "s.npz",
        inputs__x=np.arange(3),
        outputs__same=np.ones((3, 2)),
        outputs__other=np.arange(6.0).reshape(3, 2),
    )
    same, other = {"same": elements(10)}, {"other": elements(10)}
    assert "output same" in weakness(path, {"kind": "tensors", "outputs": same})
    assert weakness(path, {"kind": "tensors", "outputs": same | other}) == ""
    wide = {"other": elements(0, relative={"any": 10**6})}
    said = weakness(path, {"kind": "tensors", "outputs": wide})
    assert "all one same number" in said  # 0 is within 100 % of everything


def test_detector_s_set_without_boxes_or_of_one_scene_cannot_fail(tmp_path):
    tolerance = {"kind": "tensors", "outputs": {"b": DETECTOR}}
    path, _ = detector_set(tmp_path)
    assert "all records expect the same boxes" in weakness(path, tolerance)
    path, _ = detector_set(tmp_path, **{"outputs/n": np.zeros((3, 1), "<f4")})
    assert "no record expects a box" in weakness(path, tolerance)
    boxes = np.arange(24, dtype="<f4").reshape(3, 2, 4)
    path, _ = detector_set(tmp_path, **{"outputs/b": boxes})
    assert weakness(path, tolerance) == ""
