"""Tests each shortfall between needs and device, with its numbers."""

from modelwave_shared.fit import numbers, runtime_serves, shortfalls

NEEDS = {"flash": 100, "ram": 50, "kernels": [], "runtime": "tflite", "accelerator": ""}
HAS = {
    "flash": 100,
    "ram": 50,
    "runtime": "tflite",
    "runtime_version": "2.14.0",
    "accelerator": "",
    "kernels": None,
}


def found(needs=(), has=()):
    """Shortfalls with these values changed."""
    needed, there = dict(NEEDS), dict(HAS)
    needed.update(needs)
    there.update(has)
    return shortfalls(needed, there)


def test_exactly_enough_fits():
    assert found() == []


def test_one_byte_of_flash_missing_is_named():
    assert found(has={"flash": 99}) == ["flash: 1 bytes missing (needs 100, has 99)"]


def test_one_byte_of_ram_missing_is_named():
    assert found(needs={"ram": 51}) == ["ram: 1 bytes missing (needs 51, has 50)"]


def test_numbers_beyond_32_bits_are_compared_exactly():
    assert found({"flash": 2**31 - 1}, {"flash": 2**31 - 1}) == []
    assert found({"flash": 2**31}, {"flash": 2**31 - 1}) == [
        "flash: 1 bytes missing (needs 2147483648, has 2147483647)"
    ]


def test_every_shortfall_is_named_at_once():
    texts = found(
        {"kernels": ["ADD"], "accelerator": "edgetpu", "runtime": "onnx"},
        {"flash": 0, "ram": 0, "kernels": []},
    )
    assert [text.split(":")[0] for text in texts] == [
        "flash",
        "ram",
        "runtime",
        "accelerator",
        "kernels",
    ]


def test_another_runtime_or_none_is_named():
    assert found({"runtime": "onnx"}) == ["runtime: needs onnx, has tflite 2.14.0"]
    assert found(has={"runtime": "", "runtime_version": ""}) == ["runtime: needs tflite, has none"]


def test_an_older_runtime_is_named_with_its_version():
    assert found({"runtime": "tflite>=2.15"}) == ["runtime: needs tflite>=2.15, has tflite 2.14.0"]


def test_least_version_is_met_by_itself_and_anything_newer():
    for version in ("2.14", "2.14.0", "2.14.1", "2.15", "3", "10.0", "2.100", "2.14.0.post1"):
        assert runtime_serves("tflite>=2.14", "tflite", version), version
    for version in ("2.13.9", "2", "1.99", "0", "2.9"):
        assert not runtime_serves("tflite>=2.14", "tflite", version), version


def test_without_a_least_version_any_serves():
    for version in ("", "0.1", "unknown"):
        assert runtime_serves("tflite", "tflite", version)


def test_a_version_that_cannot_be_read_meets_no_least_version():
    for version in ("", "unknown", "v2.14", "-3", "x.99"):
        assert not runtime_serves("tflite>=2.14", "tflite", version), version


def test_a_least_version_that_cannot_be_read_is_met_by_none():
    for least in ("", "x", "v2", "2.x", "2.", ".", "2..1", "-1", "2>=1", ">=2"):
        assert not runtime_serves("tflite>=" + least, "tflite", "99.0"), least


def test_another_comparison_is_met_by_none():
    for needed in ("tflite>2", "tflite==2.14.0", "tflite=2", "tflite<=99", ">=1", "tflite-runtime"):
        assert not runtime_serves(needed, "tflite", "2.14.0"), needed


def test_versions_are_compared_as_numbers():
    assert numbers("2.14.0") == [2, 14, 0]
    assert numbers("2.14.0rc1") == [2, 14]
    assert numbers("") == numbers("x") == []


def test_an_accelerator_that_is_missing_or_another_is_named():
    assert found({"accelerator": "edgetpu"}) == ["accelerator: needs edgetpu, has none"]
    assert found({"accelerator": "edgetpu"}, {"accelerator": "gpu"}) == [
        "accelerator: needs edgetpu, has gpu"
    ]
    assert found(has={"accelerator": "edgetpu"}) == []


def test_an_accelerators_version_and_mode_count_where_they_are_asked_for():
    coral, jetson = {"accelerator": "edgetpu/14"}, {"accelerator": "jetson/15W"}
    for needed, has in (
        ("edgetpu", coral),
        ("edgetpu>=14", coral),
        ("edgetpu>=9", coral),
        ("jetson", jetson),
        ("jetson/15W", jetson),
    ):
        assert found({"accelerator": needed}, has) == []
    for needed, has in (
        ("edgetpu>=15", coral),
        ("edgetpu>=1", {"accelerator": "edgetpu"}),
        ("edgetpu>=1", jetson),
        ("jetson/MAXN", jetson),
        ("jetson/15", jetson),
        ("jetson/15W", {"accelerator": "jetson"}),
    ):
        assert found({"accelerator": needed}, has) == [
            "accelerator: needs %s, has %s" % (needed, has["accelerator"])
        ]


def test_kernels_that_the_firmware_lacks_are_named():
    needs = {"kernels": ["CONV_2D", "ADD", "SOFTMAX"]}
    assert found(needs, {"kernels": ["ADD"]}) == ["kernels: lacks CONV_2D, SOFTMAX"]
    assert found(needs, {"kernels": ["SOFTMAX", "ADD", "CONV_2D", "MUL"]}) == []


def test_a_runtime_with_no_kernel_at_all_is_not_one_with_all():
    assert found({"kernels": ["ADD"]}, {"kernels": []}) == ["kernels: lacks ADD"]
    assert found({"kernels": ["ADD"]}, {"kernels": None}) == []


def test_a_need_is_met_by_any_of_the_offered_runtimes_in_its_own_numbering():
    has = {"runtimes": {"tflite": "2.23.0", "ai-edge-litert": "2.3.0", "onnx": "1.32.0"}}
    for needed in ("tflite>=2.6.0", "ai-edge-litert>=2.1", "ai-edge-litert", "onnx>=1.20"):
        assert found({"runtime": needed}, has) == [], needed
    for needed in ("tflite>=2.24", "ai-edge-litert>=2.6.0", "tflite-runtime", "onnx>=2"):
        assert found({"runtime": needed}, has) == [
            "runtime: needs %s, has ai-edge-litert 2.3.0, onnx 1.32.0, tflite 2.23.0" % needed
        ]
