"""Estimates the needs of a model that is only a list of layers, by running TFLM's allocator on
the model that a converter would make of the list.

The error ranges were measured (benchmarks/estimate.py) on the 29 of 89 real and generated
models that such a list can express. For the ten well-known ones among them (MLPerf Tiny,
TFLM's examples, emlearn) the arena was exact and the file off by -18 to +9 %. Most of the other
errors come from how the converter quantises a dense layer."""

from dataclasses import dataclass

from modelwave_controller.fit.analysis import what_is_derived
from modelwave_controller.fit.errors import ModelRefused, Unknown
from modelwave_controller.fit.kernel_data import load_tables
from modelwave_controller.fit.model import Model
from modelwave_controller.fit.profiles import profile
from modelwave_controller.fit.replay import Replay

# (least, most) of estimate ÷ truth - 1, over all profiles.
ARENA_RANGE = (0.0, 0.23)
FILE_RANGE = (-0.18, 0.54)

# Bytes of a file beside its weights, from a least-squares fit over real models. A scale takes
# 12 bytes: 4 for itself and 8 for its zero point.
_FILE, _TENSOR, _OPERATOR, _SCALE = 700, 85, 200, 12


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated sizes in bytes; None if `refused` or `unknown` says why there is none.
    `derived` says that no such firmware was measured."""

    weights: int
    file: int
    activations: int | None = None
    arena_need: int | None = None
    refused: str | None = None
    unknown: str | None = None
    derived: str | None = None


def estimate(model: Model, profile_name: str) -> Estimate:
    """Estimates what a model needs on a profile. Raises OperatorError if there is no such
    profile."""
    on = profile(profile_name)
    weights, size = model.weights, file_bytes(model)
    try:
        replay = Replay(model, on, load_tables(on.abi, on.library))
    except ModelRefused as refused:
        return Estimate(weights, size, refused=str(refused))
    except Unknown as unknown:
        return Estimate(weights, size, unknown=str(unknown))
    return Estimate(weights, size, replay.head, replay.need, derived=what_is_derived(on, replay))


def file_bytes(model: Model) -> int:
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    described = _TENSOR * len(tensors) + _SCALE * sum(tensor.channels for tensor in tensors)
    return model.weights + _FILE + described + _OPERATOR * len(model.operators)
