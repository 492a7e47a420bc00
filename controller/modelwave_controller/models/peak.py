"""Finds the step at which the arena is fullest, and the buffers that are alive then."""

from dataclasses import dataclass

from modelwave_controller.fit import Box, Fit


@dataclass(frozen=True, slots=True)
class Peak:
    """The fullest step. `step` is a scope: 0 is the start, then each operator. `boxes` are
    alive in it, the largest first; `bytes` is the size of the plan."""

    step: int
    bytes: int
    boxes: tuple[Box, ...]


def find(fit: Fit) -> Peak | None:
    """Returns the step with the most bytes alive among those in which the plan is at its
    highest; None if there is no plan."""
    boxes = [box for box in fit.boxes if box.size]
    if not boxes:
        return None
    end = max(box.offset + box.size for box in boxes)
    highest = [box for box in boxes if box.offset + box.size == end]
    steps = {step for box in highest for step in range(box.first, box.last + 1)}
    step = max(sorted(steps), key=lambda step: sum(box.size for box in alive(fit, step)))
    return Peak(step, end, tuple(sorted(alive(fit, step), key=lambda box: box.size, reverse=True)))


def alive(fit: Fit, step: int) -> list[Box]:
    return [box for box in fit.boxes if box.first <= step <= box.last]


def step_name(fit: Fit, step: int) -> str:
    """Returns a name such as "3 CONV_2D", with the operator's number in the file; with several
    subgraphs only "step 3", as a step is not a single operator then."""
    if step <= 0:
        return "start"
    if any(layer.subgraph for layer in fit.layers) or step > len(fit.layers):
        return f"step {step}"
    layer = fit.layers[step - 1]
    return f"{layer.index} {layer.operator}"
