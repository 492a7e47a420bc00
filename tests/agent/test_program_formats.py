"""A program whose releases have different formats, on runtimes that fail at the worst moment."""

from pathlib import Path

import pytest

from modelwave_agent.host import HostAgent
from modelwave_agent.host.program import Program
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import HostRuntime, RuntimeSettings
from modelwave_agent.host.runtimes.specs import TensorSpec
from modelwave_agent.journal import Journal
from modelwave_agent.ports import ProofError
from modelwave_agent.types import Live
from tests.agent.confirmed import MODEL, prepared
from tests.agent.host_places import refused_port

np = pytest.importorskip("numpy")

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "models" / "digits-v2.tflite"


class Runtime(HostRuntime):
    """Answers with its format and the model that is loaded."""

    outputs = (TensorSpec("y", "<U40", ()),)
    unloads = True

    def __init__(self, format_):
        super().__init__(RuntimeSettings())
        self.format = format_
        self.path = ""

    def load(self, path, loading):
        if path == "broken":
            raise ProofError("the model cannot be loaded")
        self.path, self.inputs = path, (TensorSpec("x", "<f4", (1,)),)

    def _run(self, inputs):
        return {"y": np.array(f"{self.format} {self.path}")}

    def unload(self):
        self.inputs = ()
        if not self.unloads:
            raise RuntimeError("in use")


@pytest.fixture
def made(monkeypatch):
    """The runtimes that were made."""
    found = []

    def make(format_, settings):
        if format_ == "missing":
            raise ProofError("no runtime for the format missing")
        found.append(Runtime(format_))
        return found[-1]

    monkeypatch.setattr(registry, "make", make)
    return found


def live(release, path, format_):
    return Live("digits", release, "v", path, None, False, format_)


def answer(program, model):
    return str(program.run(model, np.float32([1])).outputs["y"])


def test_a_trial_of_another_format_and_its_roll_back_change_the_runtime(made):
    program, old = Program(RuntimeSettings()), live(1, "a", "tflite")
    assert answer(program, old) == "tflite a"
    assert answer(program, live(2, "b", "onnx")) == "onnx b"
    assert not made[0].inputs, "the old model's memory is free"
    assert answer(program, old) == "tflite a"
    for failing in (
        live(3, "b", "missing"),
        live(3, "broken", "onnx"),
        live(3, "broken", "tflite"),
    ):
        for _ in range(2):
            with pytest.raises(ProofError):
                answer(program, failing)
            assert program.release is None
        assert answer(program, old) == "tflite a"


def test_a_runtime_that_cannot_unload_its_model_is_not_used_again(made):
    program = Program(RuntimeSettings())
    answer(program, live(1, "a", "tflite"))
    made[0].unloads = False
    with pytest.raises(RuntimeError, match="in use"):
        answer(program, live(2, "b", "onnx"))
    assert answer(program, live(2, "b", "onnx")) == "onnx b"


def test_record_of_an_agent_before_there_were_formats_serves_tflite(tmp_path):
    with refused_port() as port:
        config = prepared(tmp_path, DIGITS.read_bytes(), port)
        change_bank(tmp_path, lambda bank: [bank.pop("format"), bank.pop("loading")])
        with HostAgent.from_config(config) as agent:
            live = agent.wait_live(MODEL)
            assert (live.format, live.loading) == ("tflite", {})
            assert len(agent.run(MODEL, bytes(64))) == 10


def test_record_of_a_newer_agent_serves_what_can_be_served(tmp_path):
    with refused_port() as port:
        config = prepared(tmp_path, b"a model of tomorrow", port, format_="tomorrow")
        change_bank(tmp_path, lambda bank: bank.update(mood="good"))
        with HostAgent.from_config(config) as agent:
            assert agent.wait_live(MODEL).format == "tomorrow"
            with pytest.raises(ProofError, match="no runtime for the format tomorrow"):
                agent.run(MODEL, np.float32([1]))
            agent.check()


def change_bank(folder, change):
    journal = Journal(str(folder / "state" / MODEL), "journal")
    record = journal.read()
    change(record["banks"][0])
    journal.write(record)
