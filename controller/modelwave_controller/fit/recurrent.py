"""Rules for the operators that keep a state in variable tensors: SVDF and the LSTM."""

from modelwave_controller.fit.operator_view import OperatorView, Rule, differs

LSTM_INPUTS = 24
LSTM_VARIANTS = {
    "peepholes": slice(9, 12),
    "a projection": slice(16, 18),
    "layer normalisation": slice(20, 24),
}
LSTM_WEIGHTS, LSTM_BIASES, LSTM_STATES = range(1, 9), range(12, 16), (18, 19)


def _lasting_state(seen: OperatorView) -> str | None:
    return None if seen.input(4).variable else "its state is not a variable tensor"


def _svdf_types(seen: OperatorView) -> str | None:
    small = seen.data.kind == "INT8"
    states = ("INT8", "INT16") if small else ("FLOAT32",)
    biases = ("INT32",) if small else ("FLOAT32",)
    bias = seen.operator.inputs[3]
    for tensor, kinds in ((seen.input(2), states), (seen.input(4), states), (bias, biases)):
        if tensor and tensor.kind not in kinds:
            return f"tensor {tensor.index} is {tensor.kind}, not {' or '.join(kinds)}"
    return None


def _svdf_shapes(seen: OperatorView) -> str | None:
    data, features, time = (seen.input(index) for index in range(3))
    bias, state, output = seen.operator.inputs[3], seen.input(4), seen.operator.outputs[0]
    for flat in (data, features, time):
        if len(flat.shape) != 2:
            return f"tensor {flat.index} has {len(flat.shape)} dimensions, not 2"
    rank, (batches, size), filters = seen.operator.options["rank"], data.shape, features.shape[0]
    if rank < 1 or filters % rank:
        return f"its rank is {rank}, which does not divide its {filters} filters"
    memory = time.shape[1]
    for tensor, wanted in (  # the bias may be missing
        (features, (filters, size)),
        (time, (filters, memory)),
        (bias, (filters // rank,)),
        (state, (batches, memory * filters)),
        (output, (batches, filters // rank)),
    ):
        if tensor and tensor.shape != wanted:
            return differs(tensor, wanted)
    return None


def _lstm_inputs(seen: OperatorView) -> str | None:
    inputs = len(seen.operator.inputs)
    return None if inputs == LSTM_INPUTS else f"it has {inputs} inputs, not {LSTM_INPUTS}"


def _lstm_variant(seen: OperatorView) -> str | None:
    for what, inputs in LSTM_VARIANTS.items():
        if any(seen.operator.inputs[inputs]):
            return f"it has {what}, which TFLM does not support"
    return None


def _lstm_types(seen: OperatorView) -> str | None:
    for index in LSTM_STATES:
        if not seen.input(index).variable:
            return "a state is not a variable tensor"
    for group in (LSTM_WEIGHTS, LSTM_BIASES):
        tensors = seen.operator.inputs[group[0] : group[-1] + 1]
        kinds = {tensor.kind if tensor else "missing" for tensor in tensors}
        if len(kinds) > 1 or "missing" in kinds:
            return f"its inputs {group[0]} to {group[-1]} are {', '.join(sorted(kinds))}"
    for tensor in (seen.input(18), seen.output):
        if tensor.kind != seen.data.kind:
            return f"its data are {seen.data.kind} and tensor {tensor.index} is {tensor.kind}"
    return None


def _lstm_shapes(seen: OperatorView) -> str | None:
    data, hidden = seen.input(0), seen.input(18)
    cell, output = seen.input(19), seen.operator.outputs[0]
    if len(data.shape) != 3:
        return f"its data have {len(data.shape)} dimensions, not 3"
    batches, size = data.shape[1 if seen.operator.options["time_major"] else 0], data.shape[2]
    state = hidden.shape[1]
    wanted = [
        *((index, (state, size)) for index in range(1, 5)),
        *((index, (state, state)) for index in range(5, 9)),
        *((index, (state,)) for index in range(12, 16)),
    ]
    for index, shape in wanted:
        if seen.input(index).shape != shape:
            return differs(seen.input(index), shape)
    for tensor in (hidden, cell):
        if tensor.elements != batches * state:
            return differs(tensor, (batches, state))
    made = (*data.shape[:2], state)
    return None if output.shape == made else differs(output, made)


_LSTM = ("UNIDIRECTIONAL_SEQUENCE_LSTM",)
RULES = (
    Rule(("SVDF",), _lasting_state),
    Rule(("SVDF",), _svdf_types),
    Rule(("SVDF",), _svdf_shapes),
    Rule(_LSTM, _lstm_inputs),
    Rule(_LSTM, _lstm_variant),
    Rule(_LSTM, _lstm_types),
    Rule(_LSTM, _lstm_shapes),
)
