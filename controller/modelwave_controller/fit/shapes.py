"""Rules for the shapes of an operator's tensors, which TFLM does not compute but finds in the file.

Some kernels check them in Prepare. Others do not, and then write over other tensors or read them;
that counts as a refusal here too."""

from collections.abc import Callable
from itertools import zip_longest
from math import prod

from modelwave_controller.fit.model import Operator, Subgraph, Tensor
from modelwave_controller.fit.operator_view import differs

Shape = tuple[int, ...]
MOST_SQUEEZED = 8  # dimensions: max_squeeze_dims, squeeze.cc

# The output has as many elements as input 0.
_SAME_ELEMENTS = """
ABS CAST CEIL COS CUMSUM DEPTH_TO_SPACE DEQUANTIZE ELU EXP EXPAND_DIMS FLOOR HARD_SWISH
L2_NORMALIZATION LEAKY_RELU LOG LOGICAL_NOT LOGISTIC LOG_SOFTMAX NEG PRELU QUANTIZE RELU RELU6
RESHAPE REVERSE_V2 ROUND RSQRT SIN SOFTMAX SPACE_TO_DEPTH SQRT SQUARE SQUEEZE TANH TRANSPOSE
ZEROS_LIKE
"""
SAME_ELEMENTS = frozenset(_SAME_ELEMENTS.split())
SAME_SHAPE = ("CEIL", "CUMSUM", "EXP", "ROUND")
# Input 0 and the output have the shape into which both inputs broadcast.
_BROADCAST = """
ADD DIV EQUAL FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND LOGICAL_OR
MAXIMUM MINIMUM MUL NOT_EQUAL SQUARED_DIFFERENCE SUB
"""
BROADCAST = frozenset(_BROADCAST.split())
# The dimensions in which their kernels broadcast; operands of one shape may have more.
BROADCAST_DIMENSIONS = 4
BROADCAST_SIX = ("ADD", "MUL")
GATHERS_PARTS = ("CONCATENATION", "PACK")
MAKES_PARTS = ("SPLIT", "SPLIT_V", "UNPACK")
PARTS_OF = {"SPLIT": 1}  # the input that is cut up; else 0


def wrong_shape(operator: Operator) -> str | None:
    """Returns what is wrong with the shapes of an operator's tensors, or None."""
    try:
        return _wrong(operator)
    except (IndexError, LookupError):
        return None  # a tensor is missing, and Prepare will say so


def _wrong(operator: Operator) -> str | None:
    name = operator.name
    if name in SAME_ELEMENTS:
        data, output = _input(operator, 0), operator.outputs[0]
        if name in SAME_SHAPE and data.shape != output.shape:
            return differs(output, data.shape)
        if data.elements != output.elements:
            return f"its data have {data.elements} elements and its output {output.elements}"
    if name in BROADCAST:
        return _broadcast(operator)
    if name in GATHERS_PARTS:
        return _parts(operator.outputs[0], operator.inputs) or _unlike_sides(operator)
    if name in MAKES_PARTS:
        return _parts(_input(operator, PARTS_OF.get(name, 0)), operator.outputs)
    rule = RULES.get(name)
    return rule(operator) if rule else None


def _input(operator: Operator, index: int) -> Tensor:
    tensor = operator.inputs[index]
    if tensor is None:
        raise LookupError
    return tensor


def _broadcast(operator: Operator) -> str | None:
    left, right, output = _input(operator, 0), _input(operator, 1), operator.outputs[0]
    shape = _together(left.shape, right.shape)
    if shape is None:
        return f"{list(left.shape)} and {list(right.shape)} do not go together"
    most = 6 if operator.name in BROADCAST_SIX else BROADCAST_DIMENSIONS
    if left.shape != right.shape and len(shape) > most:
        return f"it broadcasts {len(shape)} dimensions, {most} at most"
    if prod(shape) != output.elements:
        return differs(output, shape)
    return None


def _together(*shapes: Shape) -> Shape | None:
    """Returns the shape into which these broadcast, or None."""
    sides = []
    for across in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        wide = {side for side in across if side != 1}
        if len(wide) > 1:
            return None
        sides.append(wide.pop() if wide else 1)
    return tuple(reversed(sides))


def _parts(whole: Tensor, parts: tuple[Tensor | None, ...]) -> str | None:
    together = sum(part.elements for part in parts if part)
    if together == whole.elements:
        return None
    return f"the parts have {together} elements together, the whole has {whole.elements}"


def _unlike_sides(operator: Operator) -> str | None:
    """All parts are alike but for the axis along which they are put together, in CONCATENATION."""
    output, axis = operator.outputs[0], operator.options.get("axis")
    for part in operator.inputs:
        if part is None or axis is None:
            continue
        if len(part.shape) != len(output.shape) or not -len(part.shape) <= axis < len(part.shape):
            return f"it puts {list(part.shape)} along axis {axis} into {list(output.shape)}"
        here = axis % len(part.shape)
        if any(
            side != whole
            for place, (side, whole) in enumerate(zip(part.shape, output.shape, strict=True))
            if place != here
        ):
            return f"it puts {list(part.shape)} along axis {axis} into {list(output.shape)}"
    return None


def _squeeze(operator: Operator) -> str | None:
    data, output = _input(operator, 0), operator.outputs[0]
    if len(data.shape) > MOST_SQUEEZED:
        return f"its data have {len(data.shape)} dimensions, {MOST_SQUEEZED} at most"
    axes = [axis % len(data.shape) for axis in operator.lists.get("axes", ()) if data.shape]
    for axis in axes:
        if data.shape[axis] != 1:
            return f"it squeezes axis {axis}, which is {data.shape[axis]} wide and not 1"
    kept = [side for axis, side in enumerate(data.shape) if _is_kept(axis, side, axes)]
    return None if kept == list(output.shape) else differs(output, tuple(kept))


def _is_kept(axis: int, side: int, axes: list[int]) -> bool:
    return axis not in axes if axes else side != 1


def _broadcast_to(operator: Operator) -> str | None:
    data, output = _input(operator, 0), operator.outputs[0]
    return (
        None if _together(data.shape, output.shape) == output.shape else differs(output, data.shape)
    )


def _batch_matmul(operator: Operator) -> str | None:
    left, right = list(_input(operator, 0).shape), list(_input(operator, 1).shape)
    if operator.options["adj_x"]:
        left[-2:] = left[-1], left[-2]
    if operator.options["adj_y"]:
        right[-2:] = right[-1], right[-2]
    if left[-1] != right[-2]:
        return f"it multiplies rows of {left[-1]} by columns of {right[-2]}"
    outer = _together(tuple(left[:-2]), tuple(right[:-2]))
    if outer is None:
        return f"{left} and {right} do not go together"
    wanted = (*outer, left[-2], right[-1])
    output = operator.outputs[0]
    if len(output.shape) < len(wanted) or output.elements != prod(wanted):
        return differs(output, wanted)
    return None


def _select(operator: Operator) -> str | None:
    shapes = [_input(operator, index).shape for index in range(3)]
    wanted, output = _together(*shapes), operator.outputs[0]
    if wanted is None:
        return " and ".join(str(list(shape)) for shape in shapes) + " do not go together"
    return None if output.shape == wanted else differs(output, wanted)


def _fully_connected(operator: Operator) -> str | None:
    data, weights, output = _input(operator, 0), _input(operator, 1), operator.outputs[0]
    if len(weights.shape) < 2:
        return f"its weights have {len(weights.shape)} dimensions, not 2"
    units, depth = weights.shape[-2], weights.shape[-1]
    if not depth or data.elements % depth or output.elements != data.elements // depth * units:
        return f"{data.elements} inputs and weights of {list(weights.shape)} do not go together"
    return None


def _transpose(operator: Operator) -> str | None:
    data, order, output = _input(operator, 0), _input(operator, 1), operator.outputs[0]
    if order.elements != len(data.shape):
        return f"it orders {order.elements} dimensions of {len(data.shape)}"
    if sorted(output.shape) != sorted(data.shape):
        return f"{list(output.shape)} is no order of {list(data.shape)}"
    return None


def _pad(operator: Operator) -> str | None:
    data, widths, output = _input(operator, 0), _input(operator, 1), operator.outputs[0]
    if widths.elements != 2 * len(data.shape) or len(output.shape) != len(data.shape):
        return f"it pads {widths.elements // 2} dimensions of {len(data.shape)}"
    if any(after < before for before, after in zip(data.shape, output.shape, strict=True)):
        return f"its output {list(output.shape)} is smaller than its data {list(data.shape)}"
    return None


def _expand_dims(operator: Operator) -> str | None:
    data, axis, output = _input(operator, 0), _input(operator, 1), operator.outputs[0]
    if axis.elements != 1 or len(output.shape) != len(data.shape) + 1:
        return differs(output, (1, *data.shape))
    return None


def _one_axis(operator: Operator) -> str | None:
    axis = _input(operator, 1)
    return None if axis.elements == 1 else f"it has {axis.elements} axes, not 1"


def _update_slice(operator: Operator) -> str | None:
    data, update, start = (_input(operator, index) for index in range(3))
    if len(update.shape) != len(data.shape) or start.elements != len(data.shape):
        return f"it updates {len(data.shape)} dimensions with {len(update.shape)}"
    if any(part > whole for part, whole in zip(update.shape, data.shape, strict=True)):
        return differs(update, data.shape)
    return None


def _slice(operator: Operator) -> str | None:
    data, begin, size = (_input(operator, index) for index in range(3))
    if not begin.elements == size.elements == len(data.shape):
        return f"it slices {begin.elements} dimensions of {len(data.shape)}"
    return None


def _depth_to_space(operator: Operator) -> str | None:
    data, output, block = _input(operator, 0), operator.outputs[0], operator.options["block"]
    rows, columns, channels = data.shape[1:4]
    if block < 1 or channels % (block * block):
        return f"its {channels} channels are no multiple of its block {block} squared"
    wanted = (data.shape[0], rows * block, columns * block, channels // (block * block))
    return None if output.shape == wanted else differs(output, wanted)


def _circular_buffer(operator: Operator) -> str | None:
    data, output = _input(operator, 0), operator.outputs[0]
    wanted = (output.shape[0], 1, *output.shape[2:])
    return None if data.shape == wanted else differs(data, wanted)


def _resize(operator: Operator) -> str | None:
    size = _input(operator, 1)
    return None if size.elements == 2 else f"its size has {size.elements} numbers, not 2"


def _embedding_lookup(operator: Operator) -> str | None:
    places, table, output = _input(operator, 0), _input(operator, 1), operator.outputs[0]
    wanted = (places.elements, *table.shape[1:])
    return None if output.shape == wanted else differs(output, wanted)


def wrong_call(operator: Operator, subgraphs: list[Subgraph]) -> str | None:
    """Returns what is wrong with the tensors that IF and WHILE pass to subgraphs and take from
    them, or None. They are copied, so the sizes must agree."""
    if operator.name == "IF":
        pairs = [
            pair
            for option in ("then", "else")
            for pair in (
                (operator.inputs[1:], subgraphs[operator.options[option]].inputs),
                (operator.outputs, subgraphs[operator.options[option]].outputs),
            )
        ]
    elif operator.name == "WHILE":
        condition, body = (subgraphs[operator.options[option]] for option in ("cond", "body"))
        pairs = [
            (operator.inputs, condition.inputs),
            (operator.inputs, body.inputs),
            (operator.inputs, operator.outputs),
            (operator.outputs, body.outputs),
        ]
    else:
        return None
    for given, taken in pairs:
        if len(given) != len(taken):
            return f"it passes {len(given)} tensors for {len(taken)}"
        for left, right in zip(given, taken, strict=True):
            if left and right and left.bytes != right.bytes:
                return f"it copies {left.bytes} bytes of tensor {left.index} to {right.bytes} bytes"
    return None


def _add_n(operator: Operator) -> str | None:
    first = _input(operator, 0)
    if len(operator.inputs) < 2:
        return "it has one input, not 2 or more"
    for tensor in (*operator.inputs, operator.outputs[0]):
        if tensor and tensor.shape != first.shape:
            return differs(tensor, first.shape)
    return None


RULES: dict[str, Callable[[Operator], str | None]] = {
    "ADD_N": _add_n,
    "BATCH_MATMUL": _batch_matmul,
    "BROADCAST_TO": _broadcast_to,
    "CIRCULAR_BUFFER": _circular_buffer,
    "CUMSUM": _one_axis,
    "EMBEDDING_LOOKUP": _embedding_lookup,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "DEPTH_TO_SPACE": _depth_to_space,
    "DYNAMIC_UPDATE_SLICE": _update_slice,
    "EXPAND_DIMS": _expand_dims,
    "FULLY_CONNECTED": _fully_connected,
    "PAD": _pad,
    "PADV2": _pad,
    "SELECT_V2": _select,
    "SLICE": _slice,
    "SQUEEZE": _squeeze,
    "TRANSPOSE": _transpose,
}
