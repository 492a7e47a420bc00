"""Measures the error of `modelwave model estimate`: turns real models into lists of layers, and
compares the estimate for the list with the result of the same engine for the file.

    python benchmarks/estimate.py FOLDER…

A model that a list cannot describe (other operators, branches) is left out and counted. The last
line of the output has the figures."""

import sys
from pathlib import Path

from modelwave_controller.fit import PROFILES, analyse
from modelwave_controller.fit.errors import ModelRefused, Unknown
from modelwave_controller.fit.model import Model, Operator, read_model
from modelwave_controller.models import layers
from modelwave_controller.models.estimate import estimate, file_bytes

POOLS = {"AVERAGE_POOL_2D": "avgpool", "MAX_POOL_2D": "maxpool"}
UNARY = {operator: name for name, operator in layers.UNARY.items()}


def main() -> None:
    arena: list[float] = []
    file: list[float] = []
    told = left_out = 0
    for path in sorted(path for name in sys.argv[1:] for path in Path(name).glob("*.tflite")):
        try:
            model = read_model(path.read_bytes())
            text = listed(model)
        except (ModelRefused, Unknown, ValueError, StopIteration) as why:
            left_out += 1
            print(f"  {path.stem:52} left out: {why}")
            continue
        told += 1
        guess = layers.read_layers(text, path.name, model.subgraphs[0].operators[0].outputs[0].kind)
        file.append(file_bytes(guess) / path.stat().st_size - 1)
        before = len(arena)
        for name in PROFILES:
            truth = analyse(path.read_bytes(), name).need
            told_need = estimate(guess, name).arena_need
            if truth and told_need:
                arena.append(told_need / truth - 1)
        print(f"  {path.stem:52} file {file[-1]:+7.1%}  arena {_span(arena[before:])}")
    print(
        f"estimate: {told} models told, {left_out} left out; arena {_span(arena)} "
        f"({len(arena)} runs), file {_span(file)}"
    )


def _span(errors: list[float]) -> str:
    return f"{min(errors):+.1%} to {max(errors):+.1%}" if errors else "refused"


def listed(model: Model) -> str:
    """Returns the layers as text. Raises ValueError if they are not a chain, or not supported."""
    if len(model.subgraphs) != 1:
        raise ValueError("several subgraphs")
    graph = model.subgraphs[0]
    (given,) = graph.inputs
    lines = ["input " + "x".join(map(str, given.shape[1:] or (1,)))]
    current = given
    for operator in graph.operators:
        if operator.name in ("QUANTIZE", "DEQUANTIZE"):
            pass  # a list has no such layer
        elif current not in operator.inputs:
            raise ValueError(f"{operator.index} {operator.name} has another input")
        else:
            lines.append(line(operator))
        current = operator.outputs[0]
    return "\n".join(lines)


def line(operator: Operator) -> str:
    name, options = operator.name, operator.options
    output = operator.outputs[0].shape
    weights = operator.inputs[1] if len(operator.inputs) > 1 else None
    wanted, _ = layers.KINDS.get(operator.outputs[0].kind, ("", ""))
    if weights is not None and weights.kind not in (wanted, "INT32"):
        raise ValueError(f"{weights.kind} weights")
    if name in UNARY:
        return UNARY[name]
    if name == "RESHAPE":
        if len(output) > 2:
            raise ValueError("RESHAPE to a picture")
        return "flatten"
    if name == "MEAN":
        return "mean"
    if name == "FULLY_CONNECTED":
        assert operator.inputs[1] is not None
        scales = "per-channel" if operator.inputs[1].channels > 1 else "per-tensor"
        return f"dense {output[-1]} {scales}"
    if name in POOLS:
        data = operator.inputs[0]
        assert data is not None
        rows, columns = data.shape[1] // output[1], data.shape[2] // output[2]
        return f"{POOLS[name]} {rows}x{columns}"
    if weights is None or name not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        raise ValueError(name)
    kernel = f"{weights.shape[1]}x{weights.shape[2]}"
    window = f"stride={options['stride_h']} {'valid' if options['padding'] else 'same'}"
    if name == "CONV_2D":
        return f"conv2d {weights.shape[0]} {kernel} {window}"
    data = operator.inputs[0]
    assert data is not None
    return f"depthwise {kernel} {window} multiplier={weights.shape[3] // data.shape[3]}"


if __name__ == "__main__":
    main()
