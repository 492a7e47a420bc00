"""What a shadow's process gets is what the live model got: the same input must not fail there."""

import pytest

from modelwave_agent.host.runtimes.specs import TensorSpec

np = pytest.importorskip("numpy")

from modelwave_agent.host import given, shadow_input  # noqa: E402
from modelwave_agent.host.runtimes.port import HostRuntime, RuntimeSettings  # noqa: E402


class Echo(HostRuntime):
    """Answers with its input."""

    def __init__(self, dtype, shape):
        super().__init__(RuntimeSettings())
        self.inputs = self.outputs = (TensorSpec("x", dtype, shape),)

    def _run(self, inputs):
        return dict(inputs)


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        ("|i1", (1, 2), {"x": [1, 2]}),
        ("|i1", (2,), {"x": [True, False]}),
        ("<f4", (), {"x": 2.5}),
        ("<f4", (), {"x": np.float64(2.5)}),
        ("<f4", (), np.float64(2.5)),
        ("<f4", (2,), {"x": range(2)}),
        ("<f4", (0, 4), {"x": np.zeros((0, 4), "<f4")}),
        ("|S0", (2,), {"x": ["a", "né"]}),
        ("|S0", (2,), {"x": np.array(["a", b"b"], object)}),
        ("|i1", (2,), bytes(2)),
        ("|i1", (2,), np.int8([[1, 2], [3, 4]]).T[0]),
    ],
)
def test_a_shadow_takes_what_the_live_model_took(dtype, shape, data):
    runtime = Echo(dtype, shape)
    taken = given.checked(data)
    outputs = given.run(runtime, taken)
    head, *pieces = shadow_input.packed(taken, outputs)
    description = head[shadow_input.HEAD.size :]
    again, live = shadow_input.unpacked(description, b"".join(pieces))
    found = given.run(runtime, again)["x"]
    if dtype != "|S0":
        assert (found.dtype, found.tobytes()) == (outputs["x"].dtype, outputs["x"].tobytes())
    assert shadow_input.plain(found).tolist() == live["x"].tolist()
