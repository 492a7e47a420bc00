"""The runs of a model that a golden set is made from: one for each configuration of a runtime."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwave_agent.host.golden import children
from modelwave_agent.host.golden.archive import CLASSES, EXPECTED, Archive, Array
from modelwave_agent.host.runtime_options import runtime_words
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_shared.tensors import XNNPACK
from modelwave_shared.words import TFLITE

# A runtime sums floats in another order with another number of threads.
THREADS = (1, 2, 4)


@dataclass(frozen=True)
class Order:
    """What to make. `others`: Python interpreters with other runtimes; `work`: an empty folder for
    files that the caller removes."""

    model: str
    format: str
    inputs: str
    random: int
    seed: int
    labels: str
    others: tuple[str, ...]
    loading: Mapping[str, Any]
    binary: bool
    work: Path
    out: Path
    seconds: float


@dataclass(frozen=True)
class Run:
    """One configuration's run: what `running.run` says of it, and its archive."""

    said: Mapping[str, Any]
    archive: Path

    @property
    def configuration(self) -> str:
        return str(self.said["configuration"])


def others(order: Order, reference: Run) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """Yields (Python, delegates, threads) of all runs but the reference; 0 threads are what the
    runtime takes by itself."""
    variants: Sequence[tuple[str, ...]] = ((), (XNNPACK,)) if order.format == TFLITE else ((),)
    is_rounded = any(spec["dtype"][1] in "fc" for spec in reference.said["outputs"])
    for python in (sys.executable, *order.others):
        for delegates in variants:
            for threads in (0, *THREADS) if is_rounded else (0,):
                if python != sys.executable or delegates or threads:
                    yield python, delegates, threads


def is_allowed(order: Order, run: Run) -> bool:
    """Whether devices may run this configuration."""
    is_delegate = run.configuration.endswith(f"+{XNNPACK}")
    return not is_delegate or XNNPACK in order.loading.get("delegates", ())


def run(
    order: Order, python: str, delegates: tuple[str, ...], threads: int = 0, place: int = 0
) -> Run:
    """Runs the model in one configuration; that of place 0 is the reference. Raises StepError."""
    out = order.work / f"run-{place}.npz"
    loading = {name: value for name, value in order.loading.items() if name != "delegates"}
    if delegates:
        loading["delegates"] = list(delegates)
    options = {
        "--model": order.model,
        "--out": str(out),
        "--seconds": str(order.seconds),
        **runtime_words(order.format, loading, RuntimeSettings(threads=threads)),
    }
    # The reference's inputs serve for all, as random numbers differ from one numpy to another.
    if place:
        options["--inputs"] = str(order.work / "run-0.npz")
    elif order.random:
        options |= {"--random": str(order.random), "--seed": str(order.seed)}
    else:
        options["--inputs"] = order.inputs
    arguments = [word for option in options.items() for word in option]
    return Run(children.result(python, "run", arguments, order.work), out)


def pairs(
    reference: Run, run: Run, labels: Mapping[str, Array]
) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
    """Yields for each record (outputs of the run, what is expected)."""
    with Archive(str(reference.archive)) as one, Archive(str(run.archive)) as two:
        for index, (wanted, got) in enumerate(zip(one.rows(), two.rows(), strict=True)):
            classes = {CLASSES + name: array[index] for name, array in labels.items()}
            outputs = {
                name.removeprefix(EXPECTED): array
                for name, array in got.items()
                if name.startswith(EXPECTED)
            }
            yield outputs, wanted | classes
