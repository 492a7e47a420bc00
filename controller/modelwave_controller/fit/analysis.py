"""Computes what a model needs on a device, exact to the byte, without the device."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate

from modelwave_controller.fit.errors import ModelRefused, Unknown
from modelwave_controller.fit.kernel_data import load_tables
from modelwave_controller.fit.model import Model, read_model
from modelwave_controller.fit.planner import Buffer
from modelwave_controller.fit.profiles import Profile, profile
from modelwave_controller.fit.replay import Phases, Replay


@dataclass(frozen=True, slots=True)
class Layer:
    """The memory of one operator, in bytes. `live` is the sum of all buffers that are alive
    while it runs; `peak` marks the operators during which the plan is at its highest."""

    subgraph: int
    index: int
    operator: str
    output_shape: tuple[int, ...]
    weights: int
    output: int
    scratch: int
    live: int
    peak: bool


@dataclass(frozen=True, slots=True)
class Box:
    """A planned buffer: it takes the bytes offset … offset + size of the arena during the
    scopes first … last (0 is the start, then each operator; -1 if nothing uses it)."""

    label: str
    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Fit:
    """The memory that a model needs, in bytes. `used` is what TFLM's arena_used_bytes() will
    return, `need` the smallest arena, in steps of 16, with which AllocateTensors succeeds;
    both are None if TFLM refuses the model or if it uses something that was never measured.
    `activations` is the planned part of `used`, `weights` the size of the constants in the
    file. `derived` says which part was computed from TFLM's source and never measured; None if
    all was measured. `variables` is the number of resource variables that the firmware must
    create."""

    profile: str
    weights: int
    operators: tuple[str, ...]
    used: int | None = None
    need: int | None = None
    activations: int | None = None
    phases: Phases | None = None
    refused: str | None = None
    unknown: str | None = None
    derived: str | None = None
    variables: int = 0
    layers: tuple[Layer, ...] = ()
    boxes: tuple[Box, ...] = ()


def analyse(data: bytes, profile_name: str, registered: frozenset[str] | None = None) -> Fit:
    """Analyses a .tflite file for one profile ("cortex-m4:cmsis-nn"). `registered` names the
    operators in the firmware; None stands for all that tflite-micro has. Raises ModelError if
    the file cannot be read and OperatorError if there is no such profile."""
    on = profile(profile_name)
    try:
        model = read_model(data)
    except ModelRefused as refused:
        return Fit(on.name, 0, (), refused=str(refused))
    except Unknown as unknown:
        return Fit(on.name, 0, (), unknown=str(unknown))
    names = tuple(sorted({operator.name for operator in model.operators}))
    try:
        replay = Replay(model, on, load_tables(on.abi, on.library), registered)
    except ModelRefused as refused:
        return Fit(on.name, model.weights, names, refused=str(refused))
    except Unknown as unknown:
        return Fit(on.name, model.weights, names, unknown=str(unknown))
    return Fit(
        on.name,
        model.weights,
        names,
        replay.used,
        replay.need,
        replay.head,
        replay.phases,
        derived=what_is_derived(on, replay),
        variables=model.variables,
        layers=_layers(model, replay),
        boxes=tuple(_box(buffer) for buffer in replay.buffers),
    )


def what_is_derived(on: Profile, replay: Replay) -> str | None:
    """Returns what was derived, as a sentence for people that begins with that word."""
    if on.derived:
        return f"derived from the source of {on.derived}; {on.name} was never measured"
    if not replay.derived:
        return None
    return (
        f"derived from tflite-micro's source, not measured on {on.name}: "
        f"{', '.join(replay.derived)}"
    )


def _layers(model: Model, replay: Replay) -> tuple[Layer, ...]:
    course = _Course(replay)
    scratch: dict[tuple[int, int], int] = defaultdict(int)
    for request in replay.scratches:
        scratch[request.subgraph, request.operator] += request.size
    layers = []
    for number, graph in enumerate(model.subgraphs):
        for operator in graph.operators:
            scope = replay.lifetimes.operators[number][operator.index].first
            layers.append(
                Layer(
                    number,
                    operator.index,
                    operator.name,
                    operator.outputs[0].shape if operator.outputs else (),
                    sum(tensor.constant_bytes for tensor in operator.inputs if tensor),
                    sum(tensor.bytes for tensor in operator.outputs),
                    scratch[number, operator.index],
                    course.live[scope] if scope >= 0 else 0,
                    scope >= 0 and course.highest[scope] > 0,
                )
            )
    return tuple(layers)


class _Course:
    """Holds for each scope the bytes alive, and how many buffers reach the top of the plan."""

    def __init__(self, replay: Replay) -> None:
        scopes = replay.lifetimes.scope + 1
        live, highest = [0] * (scopes + 1), [0] * (scopes + 1)
        for buffer in replay.buffers:
            first, after = max(0, buffer.first), buffer.last + 1
            top = buffer.end == replay.head
            live[first] += buffer.size
            live[after] -= buffer.size
            highest[first] += top
            highest[after] -= top
        self.live, self.highest = list(accumulate(live)), list(accumulate(highest))


def _box(buffer: Buffer) -> Box:
    return Box(buffer.label, buffer.offset, buffer.size, buffer.first, buffer.last)
