"""What a model will take that is only a list of layers: TFLM's allocator run on what the
converter would make of it.

The ranges are measured (benchmarks/estimate.py), on the 29 of 89 real and generated models
whose layers such a list can tell. On the ten well-known ones among them (MLPerf Tiny, TFLM's
examples, emlearn) the arena was exact and the file off by -18 to +9 %. How a converter
quantises a dense layer decides most of the rest."""

from dataclasses import dataclass

from modelwave_controller.fit.errors import Refused, Unknown
from modelwave_controller.fit.model import Model
from modelwave_controller.fit.profiles import profile
from modelwave_controller.fit.replay import Replay
from modelwave_controller.fit.tables import load

# (least, most) of estimate ÷ truth - 1, over all profiles.
ARENA_RANGE = (0.0, 0.23)
FILE_RANGE = (-0.18, 0.54)

# What a file has beside its weights, in bytes: least squares over real models. A scale takes
# 12 bytes, as 4 for itself and 8 for its zero point.
_FILE, _TENSOR, _OPERATOR, _SCALE = 700, 85, 200, 12


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes; None where `refused` or `unknown` says why not."""

    weights: int
    file: int
    activations: int | None = None
    arena_need: int | None = None
    refused: str | None = None
    unknown: str | None = None


def estimate(model: Model, profile_name: str) -> Estimate:
    """Raises OperatorError if there is no such profile."""
    on = profile(profile_name)
    weights, size = model.weights, file_bytes(model)
    try:
        replay = Replay(model, on, load(on.abi, on.library))
    except Refused as refused:
        return Estimate(weights, size, refused=str(refused))
    except Unknown as unknown:
        return Estimate(weights, size, unknown=str(unknown))
    return Estimate(weights, size, replay.head, replay.need)


def file_bytes(model: Model) -> int:
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    described = _TENSOR * len(tensors) + _SCALE * sum(tensor.channels for tensor in tensors)
    return model.weights + _FILE + described + _OPERATOR * len(model.operators)
