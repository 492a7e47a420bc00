"""Golden files, and the verdict on a model's outputs."""

import struct

from modelwave_shared import golden
from modelwave_shared.golden import GoldenError, Header, Judge, pack
from modelwave_shared.limits import MAX_GOLDEN_RECORDS, MAX_SEQ, MAX_TENSOR_BYTES
from tests.core.helpers import refused

OUTPUTS = {"kind": "outputs", "steps": {"any": 0}}
NAN, INFINITY = float("nan"), float("inf")


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def header_bytes(
    magic=b"MWG1", kind="o", given="b", out="b", zero=0, count=1, elements=1, out_elements=1
):
    return struct.pack(
        "<4s4BIII", magic, ord(kind), ord(given), ord(out), zero, count, elements, out_elements
    )


def verdict(data, outputs, tolerance, runtime="tflite"):
    """On a model that answers `outputs` in turn."""
    header = Header(data)
    judge = Judge(header, tolerance, runtime)
    step = header.input_bytes + header.expected_bytes
    for index, output in enumerate(outputs):
        end = golden.HEADER_BYTES + (index + 1) * step
        judge.add(output, data[end - header.expected_bytes : end])
    return judge.verdict()


def of_outputs(expected, output, steps, output_type="b", runtime="tflite"):
    data = pack("o", "b", output_type, [b"\0"], [expected])
    return verdict(data, [output], {"kind": "outputs", "steps": steps}, runtime)


def of_labels(labels, outputs, least_ppm, output_type="b"):
    classes = len(outputs[0]) // golden.SIZES[output_type]
    data = pack("l", "b", (output_type, classes), [b"\0"] * len(labels), labels)
    return verdict(data, outputs, {"kind": "labels", "least_ppm": least_ppm})


# Files.


def test_packed_file_has_the_described_layout():
    data = pack("o", "b", "h", [b"\1\2", b"\3\4"], [b"\5\0", b"\6\0"])
    assert data == (
        b"MWG1" + b"obh\0" + b"\2\0\0\0" + b"\2\0\0\0" + b"\1\0\0\0" + b"\1\2\5\0\3\4\6\0"
    )


def test_packed_labels_are_u16_little_endian():
    data = pack("l", "B", ("b", 300), [b"\1"], [258])
    assert data[20:] == b"\1\2\1"


def test_header_says_how_long_its_parts_are():
    header = Header(pack("o", "f", "h", [floats(1, 2, 3)] * 5, [b"ab" * 10] * 5))
    assert (header.kind, header.input_type, header.output_type) == ("o", "f", "h")
    assert (header.count, header.input_bytes, header.output_bytes) == (5, 12, 20)
    assert (header.output_elements, header.expected_bytes) == (10, 20)
    assert header.file_bytes == 20 + 5 * (12 + 20)
    assert Header(pack("l", "b", ("f", 10), [b"x"], [0])).file_bytes == 20 + 1 + 2


def test_header_is_read_from_any_bytes_like():
    data = header_bytes()
    assert Header(bytearray(data)).count == Header(memoryview(data + b"rest")).count == 1


def test_file_that_is_cut_off_in_its_header_is_refused():
    data = header_bytes()
    for end in range(len(data)):
        refused(GoldenError, Header, data[:end])
    assert Header(data)


def test_file_that_is_no_golden_file_is_refused():
    for data in (
        b"TFL3" + bytes(40),
        bytes(40),
        header_bytes(magic=b"MWG2"),
        header_bytes(kind="x"),
        header_bytes(kind="\0"),
        header_bytes(zero=1),
    ):
        assert "golden" in refused(GoldenError, Header, data)


def test_unknown_element_types_are_refused():
    for code in "iqdxs\0":
        refused(GoldenError, Header, header_bytes(given=code))
        refused(GoldenError, Header, header_bytes(out=code))


def test_counts_and_sizes_end_at_their_limits():
    assert Header(header_bytes(count=MAX_GOLDEN_RECORDS)).count == MAX_GOLDEN_RECORDS
    assert Header(header_bytes(elements=MAX_TENSOR_BYTES)).input_bytes == MAX_TENSOR_BYTES
    for count in (0, MAX_GOLDEN_RECORDS + 1, 2**32 - 1):
        assert "count" in refused(GoldenError, Header, header_bytes(count=count))
    for elements in (0, MAX_TENSOR_BYTES + 1, 2**32 - 1):
        assert "input" in refused(GoldenError, Header, header_bytes(elements=elements))
        assert "output" in refused(GoldenError, Header, header_bytes(out_elements=elements))
    refused(GoldenError, Header, header_bytes(given="f", elements=MAX_TENSOR_BYTES // 4 + 1))


def test_records_of_different_lengths_are_not_packed():
    refused(GoldenError, pack, "o", "b", "b", [b"\1", b"\1\2"], [b"\1", b"\1"])
    refused(GoldenError, pack, "o", "b", "b", [b"\1", b"\1"], [b"\1", b"\1\2"])
    refused(GoldenError, pack, "o", "h", "b", [b"\1\2\3"], [b"\1"])
    refused(GoldenError, pack, "o", "b", "h", [b"\1"], [b"\1\2\3"])


def test_lengths_that_only_agree_in_sum_are_not_packed():
    refused(GoldenError, pack, "o", "b", "b", [b"\1\2", b"\1"], [b"\1\2", b"\1\2\3"])


def test_no_records_or_unequally_many_are_not_packed():
    refused(GoldenError, pack, "o", "b", "b", [], [])
    refused(GoldenError, pack, "o", "b", "b", [b"\1"], [])
    refused(GoldenError, pack, "l", "b", ("b", 2), [b"\1", b"\1"], [0])


def test_unknown_kind_is_not_packed():
    refused(GoldenError, pack, "x", "b", "b", [b"\1"], [b"\1"])


def test_labels_that_are_no_class_are_not_packed():
    for label in (-1, 2, 65536, 65537):
        refused(GoldenError, pack, "l", "b", ("b", 2), [b"\1"], [label])


# Outputs.


def test_output_within_its_steps_is_healthy_and_one_more_is_not():
    assert of_outputs(b"\x0a\x0a", b"\x0c\x08", {"any": 2}) == ""
    assert of_outputs(b"\x0a\x0a", b"\x0c\x08", {"any": 1}) == (
        "golden set: 1 of 1 outputs off by more than 1 steps on tflite, worst 2"
    )


def test_steps_are_counted_over_the_whole_range_of_the_type():
    assert of_outputs(b"\x80", b"\x7f", {"any": 254}) != ""
    assert of_outputs(b"\x80", b"\x7f", {"any": 255}) == ""
    assert of_outputs(b"\0", b"\xff", {"any": 254}, "B") != ""
    assert of_outputs(b"\0\x80", b"\xff\x7f", {"any": 65534}, "h") != ""
    assert of_outputs(b"\0\x80", b"\xff\x7f", {"any": 65535}, "h") == ""


def test_one_element_off_in_the_middle_is_enough():
    assert "worst 1" in of_outputs(b"\1" * 9, b"\1\1\1\1\2\1\1\1\1", {"any": 0})


def test_steps_are_those_of_the_devices_runtime():
    steps = {"tflm": 3, "any": 0}
    assert of_outputs(b"\0", b"\3", steps, runtime="tflm") == ""
    assert of_outputs(b"\0", b"\3", steps, runtime="tflite") != ""
    assert of_outputs(b"\0", b"\0", steps, runtime="tflite") == ""


def test_a_runtime_of_zero_steps_does_not_borrow_those_of_any():
    assert of_outputs(b"\0", b"\1", {"tflm": 0, "any": 9}, runtime="tflm") != ""


def test_tolerance_that_names_neither_the_runtime_nor_any_is_refused():
    header = Header(header_bytes())
    tolerance = {"kind": "outputs", "steps": {"tflm": 3}}
    assert "neither tflite nor any" in refused(GoldenError, Judge, header, tolerance, "tflite")


def test_tolerance_of_the_other_kind_is_refused():
    refused(GoldenError, Judge, Header(header_bytes(kind="l")), OUTPUTS, "tflite")
    labels = {"kind": "labels", "least_ppm": 0}
    refused(GoldenError, Judge, Header(header_bytes(kind="o")), labels, "tflite")


def test_float_outputs_are_compared_in_millionths():
    assert of_outputs(floats(1.0), floats(1.25), {"any": 250000}, "f") == ""
    assert of_outputs(floats(1.0), floats(1.25), {"any": 249999}, "f") != ""
    assert of_outputs(floats(-0.5), floats(0.5), {"any": 1000000}, "f") == ""
    assert of_outputs(floats(0.0), floats(-0.0), {"any": 0}, "f") == ""


def test_nan_is_right_under_no_tolerance():
    for expected, output in ((0.0, NAN), (NAN, 0.0), (NAN, NAN)):
        for at in range(3):
            wanted, got = [1.0] * 3, [1.0] * 3
            wanted[at], got[at] = expected, output
            assert of_outputs(floats(*wanted), floats(*got), {"any": MAX_SEQ}, "f") != ""


def test_infinity_is_far_off_and_does_not_overflow():
    for output in (INFINITY, -INFINITY, 3e38, -3e38):
        assert of_outputs(floats(0.0), floats(output), {"any": 1000000000}, "f") != ""


def test_output_of_another_length_is_refused():
    judge = Judge(Header(header_bytes(out_elements=2)), OUTPUTS, "tflite")
    for output in (b"", b"\1", b"\1\2\3"):
        refused(GoldenError, judge.add, output, b"\1\2")


def test_verdict_before_every_record_was_run_is_refused():
    data = pack("o", "b", "b", [b"\0"] * 3, [b"\1"] * 3)
    for ran in range(3):
        message = refused(GoldenError, verdict, data, [b"\1"] * ran, OUTPUTS)
        assert f"{ran} of 3" in message
    assert verdict(data, [b"\1"] * 3, OUTPUTS) == ""


def test_one_bad_record_among_good_ones_is_counted():
    data = pack("o", "b", "b", [b"\0"] * 3, [b"\1", b"\2", b"\3"])
    assert "1 of 3 outputs" in verdict(data, [b"\1", b"\7", b"\3"], OUTPUTS)


# Labels.


def test_labels_need_exactly_the_least_share():
    outputs = [b"\0\1", b"\0\1", b"\0\1", b"\1\0"]
    assert of_labels([1, 1, 1, 1], outputs, 750000) == ""
    assert of_labels([1, 1, 1, 1], outputs, 750001) == (
        "golden set: 3 of 4 labels right (750000 ppm, least 750001)"
    )


def test_a_share_is_never_rounded_up():
    outputs = [b"\0\1", b"\0\1", b"\1\0"]
    assert of_labels([1, 1, 1], outputs, 666666) == ""
    assert of_labels([1, 1, 1], outputs, 666667) != ""


def test_the_largest_output_is_signed_where_its_type_is():
    assert of_labels([0], [b"\x01\xff"], 1000000) == ""
    assert of_labels([1], [b"\x01\xff"], 1000000, "B") == ""


def test_a_model_whose_output_never_changes_gets_no_label_right():
    for output in (b"\0\0\0", b"\x7f\x7f\x7f"):
        assert "0 of 3 labels" in of_labels([0, 1, 2], [output] * 3, 1)


def test_a_nan_among_the_outputs_gets_no_label_right():
    for at in range(3):
        output = [0.0, 1.0, 2.0]
        output[at] = NAN
        assert "0 of 3 labels" in of_labels([0, 1, 2], [floats(*output)] * 3, 1, "f")


def test_a_label_beyond_the_outputs_is_not_right():
    data = header_bytes(kind="l", out_elements=2) + b"\0" + b"\2\0"
    assert verdict(data, [b"\1\2"], {"kind": "labels", "least_ppm": 1}) != ""


def test_a_label_beyond_the_only_output_is_not_right():
    data = header_bytes(kind="l", out_elements=1) + b"\0" + b"\1\0"
    assert verdict(data, [b"\1"], {"kind": "labels", "least_ppm": 1}) != ""


def test_a_label_that_is_the_only_output_is_right():
    data = header_bytes(kind="l", out_elements=1) + b"\0" + b"\0\0"
    assert verdict(data, [b"\1"], {"kind": "labels", "least_ppm": 1000000}) == ""
