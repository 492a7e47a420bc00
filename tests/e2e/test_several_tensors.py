"""A detector with four outputs, and a model with two inputs: released with a golden set, rolled
out, served by `agent.run`, and taken back where an output is wrong."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import House

pytest.importorskip("numpy")
pytest.importorskip("tflite", reason="the package tflite, which writes models, is not installed")
pytest.importorskip("flatbuffers", reason="the package flatbuffers, which writes models")

from modelwave_agent.host import HostAgent, agreement
from tests.agent import several_tensors as models

pytestmark = pytest.mark.e2e

PLAN = ("--stages", "100", "--soak", "0", "--trial", "0", "--deadline", "600")
NAMES = ("pi-1", "pi-2", "pi-3")
RECORDS = 20
AGENT = """
device = "{name}"
target = "linux-cpu"
models = ["detector", "joined"]
state = "state-{name}"
root = "{root}"
metrics_seconds = 1
[broker]
url = "{broker}"
[download]
hosts = ["{files}"]
"""


def agents(house: House, running: ExitStack) -> list[HostAgent]:
    """The fleet: agents in this process, so that the test is their program."""
    found = []
    for name in NAMES:
        config = house.folder / f"{name}.toml"
        root = house.operator.home / "root.json"
        config.write_text(
            AGENT.format(name=name, root=root, broker=house.broker_url, files=house.files)
        )
        found.append(running.enter_context(HostAgent.from_config(config)))
    house.operator.waits(["device", "list"], lambda devices: len(devices) == len(NAMES))
    return found


class Case:
    """One of the models: good and wrong versions of it, and its golden set."""

    def __init__(self, folder: Path, name: str, good: bytes, wrong: bytes, rule: Any) -> None:
        self.name = name
        self.folder = folder / f"{name}-files"
        self.folder.mkdir()
        self.runtime = models.loaded(self.folder, good)
        self.inputs = models.inputs_of(self.runtime, RECORDS)
        self.tolerance = rule(self.runtime)
        data = models.golden_set(self.runtime, self.inputs)
        (self.folder / "golden.npz").write_bytes(data)
        (self.folder / "tolerance.json").write_text(json.dumps(self.tolerance))
        (self.folder / "good.tflite").write_bytes(good)
        (self.folder / "wrong.tflite").write_bytes(wrong)

    def release(self, house: House, version: str, file: str, *more: str) -> None:
        paths = {"file": file, "golden": "golden.npz", "tolerance": "tolerance.json"}
        options = [f"--{option}={self.folder / path}" for option, path in paths.items()]
        told = ("--dataset=made up", "--quantisation=none", "--metric=accuracy=9/10")
        create = ("release", "create", self.name, version, "--target", "linux-cpu", "--yes")
        house.operator.asks(*create, *options, *told, *more)

    def record(self, at: int) -> dict[str, Any]:
        return {name: array[at : at + 1] for name, array in self.inputs.items()}

    def serves(self, agent: HostAgent) -> bool:
        """Whether the good version answers."""
        given = self.record(3)
        found, wanted = agent.run(self.name, given), self.runtime.run(given)
        assert sorted(found) == sorted(wanted)
        # Rows of the detector behind its last box hold anything.
        return agreement.agree(found, wanted, self.tolerance, "any")


def outcome(house: House, version: str, case: Case) -> Any:
    operator = house.operator
    operator.shows("rollout", "start", case.name, version, *PLAN)
    operator.shows("rollout", "watch")  # perhaps held after one answer
    return operator.waits(["rollout", "status"], lambda found: found["final"])


def test_models_of_several_tensors_are_rolled_out_and_taken_back_for_a_wrong_output(
    house: House, tmp_path: Path
) -> None:
    house.init()
    house.start_broker("embedded")
    house.start_service()
    cases = [
        Case(
            tmp_path,
            "detector",
            models.detector(),
            models.detector(shift=3.0),
            models.boxes_rule,
        ),
        Case(tmp_path, "joined", models.joined(), models.joined(bias=50), models.elements_rule),
    ]
    with ExitStack() as running:
        fleet = agents(house, running)
        for case in cases:
            case.release(house, "v1", "good.tflite")
            status = outcome(house, "v1", case)
            assert status["status"] == "FINISHED", (status["why"], status["problems"])
            assert all(case.serves(agent) for agent in fleet)
            case.release(house, "v2", "wrong.tflite", "--force", "to see devices refuse it")
            status = outcome(house, "v2", case)
            assert status["status"] == "REVERTED", status
            reason = status["problems"][0]["reason"]
            judged = next(iter(case.tolerance["outputs"]))
            wrong = judged if case.name == "detector" else case.runtime.outputs[1].name
            assert f"golden set: output {wrong}: " in reason
            assert all(case.serves(agent) for agent in fleet)
            assert {agent.live(case.name).release for agent in fleet} == {1}  # type: ignore[union-attr]
    assert house.running.dead() == []
