"""The programs of golden sets, which the controller runs.

    python -m modelwave_agent.host.golden show FILE
    python -m modelwave_agent.host.golden make --model F … --out F      runs `run` in processes
    python -m modelwave_agent.host.golden check --model F --golden F …  runs `measure` and `faults`

Prints JSON lines on stdout, {"progress": text} and at last the result. Exits with 1 and a line
on stderr if a file is no golden set or cannot be read, or the model cannot be run, and with 2 for
wrong arguments.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelwave_agent.host.expendable import be_expendable
from modelwave_agent.host.golden import children, examine, faulty, running, show
from modelwave_agent.host.golden import make as making
from modelwave_agent.host.golden.children import StepError
from modelwave_agent.host.golden.runs import Order
from modelwave_agent.host.runtime_options import add_runtime_options, checked_by, runtime_words
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_agent.ports import ProofError
from modelwave_shared import manifests
from modelwave_shared.golden import GoldenError
from modelwave_shared.tensors import XNNPACK
from modelwave_shared.words import TFLITE

RUN_SECONDS = 600.0


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        result = options.run(options)
    except (GoldenError, ProofError, StepError, OSError, MemoryError) as error:
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 1
    if result is not None:
        children.tell(result)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="golden", description="Make and examine golden sets.")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("show", help="say what a golden set has")
    one.add_argument("file")
    one.set_defaults(run=_show)
    for name, add, run in (
        ("make", _add_make, _make),
        ("run", _add_inputs, _run),
        ("check", _add_check, _check),
        ("measure", _add_set, _measure),
        ("faults", _add_faults, _faults),
    ):
        one = commands.add_parser(name)
        one.add_argument("--model", required=True)
        add_runtime_options(one)
        one.add_argument("--seconds", type=float, default=RUN_SECONDS, help="for one run")
        add(one)
        one.set_defaults(run=run)
    return parser.parse_args(arguments)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--inputs", default="")
    parser.add_argument("--random", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, type=Path)


def _add_make(parser: argparse.ArgumentParser) -> None:
    _add_inputs(parser)
    _add_others(parser)
    parser.add_argument("--labels", default="")
    parser.add_argument("--board", action="store_true")


def _add_others(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--work", required=True, type=Path)


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--golden", required=True)
    tolerance = checked_by(manifests.tolerance, "tolerance")
    parser.add_argument("--tolerance", required=True, type=tolerance)


def _add_check(parser: argparse.ArgumentParser) -> None:
    _add_set(parser)
    _add_others(parser)
    parser.add_argument("--faults", default="")


def _add_faults(parser: argparse.ArgumentParser) -> None:
    _add_set(parser)
    parser.add_argument("--faults", required=True)


def _show(options: argparse.Namespace) -> dict[str, Any]:
    return show.shown(options.file)


def _make(options: argparse.Namespace) -> dict[str, Any]:
    return making.make(
        Order(
            model=options.model,
            format=options.format,
            inputs=options.inputs,
            random=options.random,
            seed=options.seed,
            labels=options.labels,
            others=tuple(options.python),
            loading=options.loading,
            binary=options.board,
            work=options.work,
            out=options.out,
            seconds=options.seconds,
        )
    )


def _loaded(options: argparse.Namespace) -> HostRuntime:
    """Loads the model in this process, which ends itself in time."""
    be_expendable()
    signal.setitimer(signal.ITIMER_REAL, options.seconds)
    runtime = registry.make(options.format, options.settings)
    runtime.load(options.model, options.loading)
    return runtime


def _run(options: argparse.Namespace) -> dict[str, Any]:
    runtime = _loaded(options)
    return running.run(runtime, options.inputs, options.random, options.seed, options.out)


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    return examine.measured(_loaded(options), options.golden, options.tolerance)


def _check(options: argparse.Namespace) -> dict[str, Any]:
    values = {
        "--model": options.model,
        "--golden": options.golden,
        "--tolerance": json.dumps(options.tolerance),
        "--seconds": str(options.seconds),
        **runtime_words(options.format, options.loading, options.settings),
    }
    allowed = options.format == TFLITE and XNNPACK in options.loading.get("delegates", ())
    variants: list[tuple[str, ...]] = [(), (XNNPACK,)] if allowed else [()]
    faults = faulty.read_faults(options.faults) if options.faults else []
    return examine.examine(values, options.python, variants, faults, options.work)


def _faults(options: argparse.Namespace) -> None:
    be_expendable()
    runtime = registry.make(options.format, options.settings)
    for noticed_from in faulty.results(
        runtime,
        Path(options.model),
        options.golden,
        options.tolerance,
        options.loading,
        faulty.read_faults(options.faults),
        options.seconds,
    ):
        children.tell({"noticed_from": noticed_from})


if __name__ == "__main__":
    sys.exit(main())
