"""Says why a host's runtime refuses a model whose operators it all has: what TensorFlow Lite checks
when it builds an interpreter, or at the first run, and TFLM does not.

Source: interpreter_builder.cc and kernels/read_variable.cc. Both were seen with public models, on
both of its packages for Python."""

from modelwave_controller.fit.model import Model, Subgraph


def refusal(model: Model) -> str:
    """Returns the reason, "" if none was found."""
    graphs = model.subgraphs
    return next(filter(None, map(_bad_axis, graphs)), "") or _unset_variable(model)


def _bad_axis(graph: Subgraph) -> str:
    """The axis along which a tensor's scales go must be one that it has."""
    for tensor in graph.tensors:
        outside = tensor.axis < 0 or (tensor.shape and tensor.axis >= len(tensor.shape))
        if tensor.channels and outside:
            return (
                f"tensor {tensor.index} {tensor.name} is quantised along axis {tensor.axis}, but "
                f"has the shape {list(tensor.shape)}: convert the model anew"
            )
    return ""


def _unset_variable(model: Model) -> str:
    """A variable has no value until it is assigned; TFLM begins with zeros. CALL_ONCE runs a graph
    that may assign it."""
    if any(operator.name == "CALL_ONCE" for operator in model.operators):
        return ""
    known = set()
    for operator in model.subgraphs[0].operators:
        handle = operator.inputs[0] if operator.inputs else None
        if operator.name == "ASSIGN_VARIABLE":
            known.add(handle and handle.index)
        elif operator.name == "READ_VARIABLE" and (handle and handle.index) not in known:
            return (
                f"READ_VARIABLE {operator.index} reads a variable that nothing has assigned: "
                "convert the model with its initialisation"
            )
    return ""
