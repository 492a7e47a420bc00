"""A program whose releases have different formats, on runtimes that fail at the worst moment."""

import pytest

from modelwave_agent.host.program import Program
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import HostRuntime, RuntimeSettings
from modelwave_agent.host.runtimes.specs import TensorSpec
from modelwave_agent.ports import ProofError
from modelwave_agent.types import Live

np = pytest.importorskip("numpy")


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
