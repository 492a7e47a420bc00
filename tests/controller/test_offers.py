"""A need for a runtime's version is compared, before the start of a rollout, with what the device
will compare."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import World, manifest

from modelwave_controller.storage import offers
from modelwave_controller.trust.documents import Report, view
from modelwave_shared import reports
from modelwave_shared.words import REPORT

LITERT = {"tflite": "2.23.0", "ai-edge-litert": "2.3.0"}
SAYS: list[dict[str, Any]] = [
    {},  # tflite-runtime 2.14.0
    {"runtime_version": "2.23.0", "extra": {"runtimes": LITERT}},
    {"runtime_version": "2.3.0"},  # ai-edge-litert 2.3.0, by an agent from before `runtimes`
    {"runtime_version": "2.23.0", "extra": {"runtimes": LITERT | {"onnx": "1.22.0"}}},
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path)) as made:
        for device, says in zip(made.add(len(SAYS)), SAYS, strict=True):
            device.says = says
        made.hear(made.devices.values())
        yield made


def lacking(world: World, run: Run, needed: str) -> dict[str, str]:
    """By device, why a dry run says that it would reject a release that needs this runtime."""
    needs = manifest(1)["needs"] | {"runtime": needed}
    world.shelve(1, needs=needs)
    planned = run("rollout", "start", "digits", "1", "--dry-run", "--json").json()
    found = {one["device"]: "; ".join(one["shortfalls"]) for one in planned["devices"]}
    return {device: told for device, told in found.items() if told}


def test_a_model_of_todays_converter_fits_hosts_with_ai_edge_litert(world: World, run: Run) -> None:
    """But for one whose agent compares two numberings: it would reject it, and the way out is
    named."""
    told = lacking(world, run, "tflite>=2.6.0")
    assert list(told) == ["d2"]
    assert told["d2"].startswith(
        "runtime: needs tflite>=2.6.0, has tflite 2.3.0 (the version of ai"
    )
    assert "update the agent, or create the release with --runtime tflite" in told["d2"]


@pytest.mark.parametrize(
    ("needed", "who"),
    [
        ("tflite", []),
        ("tflite>=2.23.0", ["d0", "d2"]),
        ("ai-edge-litert>=2.1", ["d0", "d2"]),
        ("ai-edge-litert>=2.6.0", ["d0", "d1", "d2", "d3"]),
        ("onnx>=1.20", ["d0", "d1", "d2"]),
    ],
)
def test_each_name_is_compared_in_its_own_numbering(
    world: World, run: Run, needed: str, who: list[str]
) -> None:
    assert sorted(lacking(world, run, needed)) == who


def test_a_device_without_a_provider_that_the_release_allows_is_named(
    world: World, run: Run
) -> None:
    device = world.devices["d3"]
    runtimes = LITERT | {"onnx": "1.32.0", "onnxruntime+cuda": "1.32.0"}
    device.says = device.says | {"extra": {"runtimes": runtimes}}
    world.hear([device])
    world.shelve(1, v=2, format="onnx", loading={"providers": ["tensorrt", "cuda"]})
    planned = run("rollout", "start", "digits", "1", "--dry-run", "--json").json()
    told = {one["device"]: one["shortfalls"] for one in planned["devices"]}
    assert told["d3"] == []
    assert told["d0"] == ["providers: needs tensorrt or cuda, has none"]


def test_a_device_shows_all_its_runtimes(world: World, run: Run) -> None:
    shown = run("device", "show", "d3").out
    assert "tflite 2.23.0, ai-edge-litert 2.3.0, onnx 1.22.0" in shown
    entry = run("device", "show", "d3", "--json").json()
    assert (entry["runtime"], entry["runtime_version"]) == ("tflite", "2.23.0")
    assert entry["runtimes"] == LITERT | {"onnx": "1.22.0"}


@pytest.mark.parametrize(
    "said",
    ["x", 7, ["onnx"], {"onnx": 1}, {"onnx": True}, {"onnx": "1, 2"}, {"onnx": ""}],
)
def test_a_table_of_runtimes_that_is_none_counts_as_none(world: World, said: Any) -> None:
    payload = world.devices["d0"].report(extra={"runtimes": said})
    report = view(Report, reports.read(REPORT, payload))
    assert offers.runtimes(offers.column(report), report.runtime_version) == {"tflite": "2.14.0"}


def test_a_device_without_a_runtime_offers_none(world: World) -> None:
    payload = world.devices["d0"].report(runtime="", runtime_version="")
    report = view(Report, reports.read(REPORT, payload))
    assert offers.runtimes(offers.column(report), report.runtime_version) == {}
