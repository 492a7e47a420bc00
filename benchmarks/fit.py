"""Measures the error of the memory planner: compares it with measured firmware, and with
tflite_micro on random graphs that were not used to develop it. It also shows the error of the
rule of thumb (largest activation + 2 KB) and of PyPI's mcufit.

    python -m benchmarks.fit [--data FOLDER] [--graphs 300] [--without-mcufit]
    MODELWAVE_FIT_DATA=FOLDER make fit

The measured models are the few in tests/data/fit, which we may distribute, or those of a FOLDER
with more of them, in the same form (measured.json, models/). The last line of the output has the
figures. The exit code is 1 if the firmware's result differs for any model."""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fit.graphs import random_graph
from tests.fit.measured import FEW, PROFILES, Row, rows
from tests.fit.oracle import INSTALLED, WHEEL, Oracle, replay
from tests.fit.writer import Graph, write

from modelwave_controller.fit import analyse
from modelwave_controller.fit.errors import ModelRefused, Unknown
from modelwave_controller.fit.model import read_model

MCUFIT = "mcufit==0.5.2"
MEBIBYTE = 1 << 20
Guess = Callable[[Path], int | None]


@dataclass
class Tally:
    """`over` and `under` are the deviations of the figures, as shares of the true values."""

    models: int = 0
    used_exact: int = 0
    exact: int = 0
    over: list[float] = field(default_factory=list)
    under: list[float] = field(default_factory=list)
    refused: int = 0  # by both
    wrong: int = 0  # refused by one only
    inexact: int = 0  # any figure, also the planned bytes, differs from the firmware's
    unknown: int = 0

    def need(self, told: int, truth: int) -> None:
        share = told / truth - 1
        if not share:
            self.exact += 1
        else:
            (self.over if share > 0 else self.under).append(share)

    def add(self, other: "Tally") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def answered(self) -> int:
        return self.exact + len(self.over) + len(self.under)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("MODELWAVE_FIT_DATA") or FEW, metavar="FOLDER"
    )
    parser.add_argument("--graphs", type=int, default=300, help="random graphs to judge")
    parser.add_argument("--without-mcufit", action="store_true")
    options = parser.parse_args()
    firmware = against_firmware(options.data, None if options.without_mcufit else MCUFIT)
    graphs = against_tflite_micro(options.graphs)
    print()
    speed = four_megabytes()
    print(
        f"\nfit: {firmware.models} runs on firmware: used exact {firmware.used_exact}/"
        f"{firmware.answered}, need {_needs(firmware)}; refused {firmware.refused} right, "
        f"{firmware.wrong} wrong, {firmware.unknown} unknown; {graphs.models} random graphs: "
        f"used exact {graphs.used_exact}/{graphs.answered}, need {_needs(graphs)}; {speed}"
    )
    return int(bool(firmware.wrong or firmware.inexact))


def _needs(tally: Tally) -> str:
    return f"exact {tally.exact}, over {_spread(tally.over)}, under {_spread(tally.under)}"


def _spread(shares: list[float]) -> str:
    return f"{len(shares)} (to {max(shares, key=abs):+.1%})" if shares else "0"


def against_firmware(data: Path, mcufit: str | None) -> Tally:
    table = rows(data)
    models = {row.name for row in table}
    print(f"{len(models)} models measured on firmware, {table[0].model.parent}")
    total = Tally()
    with _mcufit(mcufit) as guess:
        guesses: dict[str, Guess] = {"largest + 2 KB": largest_and_two_kilobytes}
        if guess is not None:
            guesses["mcufit"] = guess
        print(
            f"\n{'':24}{'':6} --------- exact to the byte ---------   --- refused ---          "
            f"need by other rules, off by"
        )
        print(
            f"{'profile':24}{'runs':>6}{'used':>7}{'need':>7}{'need over':>16}{'under':>7}"
            f"{'right':>8}{'wrong':>7}{'unknown':>9}" + "".join(f"{name:>20}" for name in guesses)
        )
        for profile in PROFILES.values():
            tally = Tally()
            others = [Tally() for _ in guesses]
            for row in (row for row in table if row.profile == profile):
                _judge(row, tally)
                for told, other in zip(guesses.values(), others, strict=True):
                    _judge_guess(row, told(row.model), other)
            total.add(tally)
            print(
                f"{profile:24}{tally.models:6}{tally.used_exact:7}{tally.exact:7}"
                f"{_spread(tally.over):>16}{len(tally.under):7}{tally.refused:8}{tally.wrong:7}"
                f"{tally.unknown:9}" + "".join(f"{_span(other):>20}" for other in others)
            )
    return total


def _span(tally: Tally) -> str:
    shares = [*tally.under, *tally.over]
    return f"{min(shares):+.0%} to {max(shares):+.0%}" if shares else "nothing"


def _judge(row: Row, tally: Tally) -> None:
    tally.models += 1
    fit = analyse(row.model.read_bytes(), row.profile)
    if fit.unknown:
        tally.unknown += 1
    elif fit.refused or row.error is not None:
        both = bool(fit.refused) and row.error is not None
        tally.refused += both
        tally.wrong += not both
    elif fit.used is not None and fit.need is not None and row.need is not None:
        tally.used_exact += fit.used == row.used
        tally.need(fit.need, row.need)
        said = (fit.used, fit.need, fit.activations)
        tally.inexact += said != (row.used, row.need, row.planned)


def _judge_guess(row: Row, told: int | None, tally: Tally) -> None:
    if told is not None and row.need is not None:
        tally.models += 1
        tally.need(told, row.need)


def largest_and_two_kilobytes(path: Path) -> int | None:
    try:
        model = read_model(path.read_bytes())
    except (ModelRefused, Unknown):
        return None
    outputs = (tensor.bytes for operator in model.operators for tensor in operator.outputs)
    return max(outputs, default=0) + 2048


class _mcufit:
    """Runs mcufit in a temporary environment of its own, as it needs other versions of libraries.
    None if it cannot be installed."""

    def __init__(self, requirement: str | None) -> None:
        self.requirement = requirement
        self.folder = tempfile.TemporaryDirectory(prefix="mcufit-")
        self.told: dict[Path, int | None] = {}

    def __enter__(self) -> Guess | None:
        if self.requirement is None:
            return None
        place = Path(self.folder.name)
        steps = (
            [sys.executable, "-m", "venv", str(place)],
            [str(place / "bin" / "pip"), "install", "--quiet", self.requirement],
        )
        try:
            for step in steps:
                subprocess.run(step, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError):
            print(f"{self.requirement}: not available, cannot be installed here")
            return None
        return self.guess

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()

    def guess(self, path: Path) -> int | None:
        if path not in self.told:
            command = [str(Path(self.folder.name) / "bin" / "mcufit"), "check", str(path)]
            asked = subprocess.run(
                [*command, "--board", "esp32", "--json"], capture_output=True, timeout=120
            )
            try:
                self.told[path] = int(json.loads(asked.stdout)["estimate"]["total_arena_bytes"])
            except (ValueError, KeyError):
                self.told[path] = None
        return self.told[path]


def against_tflite_micro(graphs: int) -> Tally:
    tally = Tally()
    print(f"\n{graphs} random graphs, judged by tflite_micro {WHEEL}")
    if INSTALLED != WHEEL:
        print(f"  not available: tflite_micro is {INSTALLED}; pip install tflite-micro=={WHEEL}")
        return tally
    with tempfile.TemporaryDirectory() as folder, Oracle() as oracle:
        for path in _graphs(Path(folder), graphs):
            tally.models += 1
            truth = oracle.used(path)
            try:
                ours = replay(path.read_bytes())
            except ModelRefused:
                tally.refused += truth is None
                tally.wrong += truth is not None
                continue
            if truth is None:
                tally.wrong += 1
                continue
            tally.used_exact += ours.used == truth
            tally.need(ours.need, oracle.need(path, 2 * ours.need))
    print(
        f"  used exact {tally.used_exact}/{tally.answered}, need {_needs(tally)}, "
        f"refused wrong {tally.wrong}"
    )
    return tally


def _graphs(folder: Path, number: int) -> Iterator[Path]:
    for seed in range(1_000_000, 1_000_000 + number):  # not those of the tests
        path = folder / f"{seed}.tflite"
        path.write_bytes(random_graph(seed))
        yield path


def four_megabytes() -> str:
    """Measures a model of 4 MB: memory, and the time compared with reading and hashing it twice."""
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(_large_model())
        file.flush()
        path = Path(file.name)
        twice = min(_timed(lambda: _hash_twice(path)) for _ in range(5))
        ours = min(_timed(lambda: _analyse(path)) for _ in range(5))
        fresh = min(_timed(lambda: _analyse_afresh(path)) for _ in range(3))
        tracemalloc.start()
        _analyse(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        size = path.stat().st_size
    print(
        f"{size / MEBIBYTE:.1f} MiB: read and hashed twice {twice * 1e3:.0f} ms, analysed "
        f"{ours * 1e3:.0f} ms, with Python started for it {fresh * 1e3:.0f} ms; memory "
        f"{peak / size:.2f} × the file"
    )
    return f"4 MiB analysed in {ours * 1e3:.0f} ms, {peak / size:.2f} × its memory"


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _hash_twice(path: Path) -> None:
    for _ in range(2):
        hashlib.sha256(path.read_bytes()).digest()


def _analyse(path: Path) -> None:
    assert analyse(path.read_bytes(), "cortex-m4:cmsis-nn").need


def _analyse_afresh(path: Path) -> None:
    script = (
        "import pathlib, sys; from modelwave_controller.fit import analyse; "
        "analyse(pathlib.Path(sys.argv[1]).read_bytes(), 'cortex-m4:cmsis-nn')"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)


def _large_model() -> bytes:
    """Sixteen convolutions of 256 KiB each."""
    graph = Graph()
    x = graph.tensor([1, 8, 8, 170])
    graph.inputs = [x]
    for _ in range(16):
        weights = graph.tensor([170, 3, 3, 170], data=bytes(170 * 9 * 170))
        y = graph.tensor([1, 8, 8, 170])
        graph.op("CONV_2D", [x, weights], [y], "Conv2D", StrideW=1, StrideH=1)
        x = y
    graph.outputs = [x]
    return write(graph)


if __name__ == "__main__":
    sys.exit(main())
