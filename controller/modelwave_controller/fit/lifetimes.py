"""Computes when each tensor and scratch buffer is alive, as AllocationInfoBuilder does
(micro_allocation_info.cc).

Time is counted in scopes: 0 is the start, each operator opens the next one, and so does each
subgraph that IF, WHILE or CALL_ONCE runs. A subgraph is walked through every time an operator
runs it. A tensor that no operator uses stays at (-1, -1) and is planned all the same."""

from collections.abc import Callable
from dataclasses import dataclass

from modelwave_controller.fit.errors import ModelError
from modelwave_controller.fit.model import Model, Tensor
from modelwave_controller.fit.schema import CALLS

MAX_SCOPES = 100_000
NEVER = -1


@dataclass(slots=True)
class Life:
    first: int = NEVER
    last: int = NEVER

    def create(self, scope: int) -> None:
        if self.first == NEVER:
            self.first = scope
        self.last = scope

    def use(self, scope: int) -> None:
        self.last = scope

    def span(self, first: int, last: int) -> None:
        self.create(first)
        self.use(last)


class Lifetimes:
    """The lifetimes of a model: `tensors` by (subgraph, tensor), `operators` by (subgraph,
    operator). An operator's scratch buffers are alive during the scopes that it spans."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.scope = 0
        self.tensors = [[Life() for _ in graph.tensors] for graph in model.subgraphs]
        self.operators = [[Life() for _ in graph.operators] for graph in model.subgraphs]
        self.running: list[int] = []
        self._run(0)

    def _run(self, number: int) -> None:
        if number in self.running:
            raise ModelError(f"subgraph {number} runs itself")
        self.running.append(number)
        graph, lives = self.model.subgraphs[number], self.tensors[number]
        self._touch(lives, graph.inputs, Life.create)
        for operator in graph.operators:
            self._next_scope()
            self._touch(lives, operator.outputs, Life.create)
            first = self.scope
            for option in CALLS.get(operator.name, ()):
                self._next_scope()
                self._run(operator.options[option])
            self._touch(lives, operator.inputs, Life.use)
            self._touch(lives, operator.outputs, Life.use)
            self.operators[number][operator.index].span(first, self.scope)
        self._touch(lives, graph.outputs, Life.create)
        self.running.pop()

    def _touch(
        self,
        lives: list[Life],
        tensors: tuple[Tensor | None, ...],
        how: Callable[[Life, int], None],
    ) -> None:
        for tensor in tensors:
            if tensor is not None:
                how(lives[tensor.index], self.scope)

    def _next_scope(self) -> None:
        self.scope += 1
        if self.scope > MAX_SCOPES:
            raise ModelError(f"its subgraphs run one another more than {MAX_SCOPES} times")
