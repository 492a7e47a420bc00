"""What a host offers: ai-edge-litert counts from 1.0 on, and models ask in TensorFlow Lite's
numbers."""

import pytest

from modelwave_agent.host.offers import (
    LITERT_VERSIONS,
    HostPorts,
    format_version,
    offered,
    reported,
)
from modelwave_agent.ports import Runtime
from modelwave_shared import fields
from modelwave_shared.fit import numbers, shortfalls
from tests.agent.fakes import World

NEEDS = {"flash": 0, "ram": 0, "kernels": [], "accelerator": ""}


class Installed(Runtime):
    offers = ()

    def __init__(self, name, version, format="tflite"):
        self.name, self.version, self.format = name, version, format
        self.installed = [self]

    def free_ram(self):
        return 1


def has(tmp_path, runtime):
    _, update = World(tmp_path).boot()
    ports = update.ports
    made = HostPorts(ports.journal, ports.banks, runtime, ports.fetcher, ports.hooks, ports.clock)
    return made.has(0)


def test_a_host_with_ai_edge_litert_takes_a_model_that_asks_for_tflite(tmp_path):
    there = has(tmp_path, Installed("ai-edge-litert", "2.3.0"))
    assert (there["runtime"], there["runtime_version"]) == ("tflite", "2.23.0")
    for needed in ("tflite", "tflite>=2.6.0", "tflite>=2.23.0", "ai-edge-litert>=2.3"):
        assert shortfalls({**NEEDS, "runtime": needed}, there) == [], needed
    for needed in ("tflite>=2.24.0", "ai-edge-litert>=2.6.0", "tflite-runtime>=2.3"):
        (told,) = shortfalls({**NEEDS, "runtime": needed}, there)
        assert "has ai-edge-litert 2.3.0, tflite 2.23.0" in told


def test_tflite_runtime_has_the_number_of_tflite(tmp_path):
    there = has(tmp_path, Installed("tflite-runtime", "2.14.0"))
    assert there["runtimes"] == {"tflite": "2.14.0", "tflite-runtime": "2.14.0"}
    assert there["runtime_version"] == "2.14.0"


@pytest.mark.parametrize(
    ("version", "tflite"),
    [
        ("1.0.1", "2.17.0"),
        ("1.2.0", "2.19.0"),
        ("1.4.0", "2.20.0"),
        ("2.0.2", "2.21.0"),
        ("2.1.2", "2.21.0"),
        ("2.1.3", "2.22.0"),
        ("2.1.6", "2.23.0"),
        ("2.2.0", "2.23.0"),
        ("99.0", "2.23.0"),  # newer than the table: at least the newest known
        ("0.9", ""),
        ("unknown", ""),
    ],
)
def test_a_version_of_ai_edge_litert_stands_for_one_of_tflite(version, tflite):
    assert format_version("ai-edge-litert", version) == tflite


def test_the_table_goes_down_in_both_columns():
    for column in (0, 1):
        versions = [numbers(row[column]) for row in LITERT_VERSIONS]
        assert versions == sorted(versions, reverse=True)


def test_several_runtimes_are_offered_together_and_the_first_counts():
    lite, onnx = Installed("ai-edge-litert", "2.3.0"), Installed("onnxruntime", "1.22.0", "onnx")
    older = Installed("tflite-runtime", "2.14.0")
    assert offered([lite, onnx, older]) == {
        "tflite": "2.23.0",
        "ai-edge-litert": "2.3.0",
        "onnx": "1.22.0",
        "onnxruntime": "1.22.0",
        "tflite-runtime": "2.14.0",
    }


def test_more_runtimes_than_a_report_has_room_for_do_not_spoil_it():
    first = Installed("tflite-runtime", "2.14.0")
    many = [Installed(f"runtime-{n}", "1" * 60, f"format-{n}") for n in range(40)]
    told = reported([first, *many])
    assert told["tflite"] == "2.14.0"
    assert len(told) > 8
    fields.extra({"runtimes": told}, "extra")
    assert reported([first]) == offered([first])
