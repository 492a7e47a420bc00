"""Runs a model's golden set, in a process of its own: the device's agent and the
controller's `release create` both ask this program.

    python -m modelwave_agent.host.prove --model F --golden F --tolerance JSON

Prints one JSON line {"healthy", "reason", "runtime", "version"} and exits 0 when it could
judge; exits 1 with a line on stderr when it could not (no runtime, no memory, a file that
cannot be read) and 2 when it was called wrongly. A model may also crash it, or run into its
alarm.
"""

import argparse
import asyncio
import contextlib
import json
import resource
import signal
import sys
from collections.abc import Sequence
from typing import Any

from modelwave_agent.host.litert import ACCELERATORS, PROOF_SECONDS, LiteRT
from modelwave_agent.ports import ProofError
from modelwave_agent.proof import judge_golden
from modelwave_shared import strict_json
from modelwave_shared.manifests import tolerance

MAX_REASON = 1000  # characters; a runtime may list all that it lacks


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    _be_expendable(options.seconds)
    try:
        runtime = LiteRT(options.accelerator)
        reason = asyncio.run(judge(runtime, options.model, options.golden, options.tolerance))
    except (ProofError, OSError, MemoryError) as error:
        print(f"prove: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    judgement = {
        "healthy": not reason,
        "reason": reason[:MAX_REASON],
        "runtime": runtime.name,
        "version": runtime.version,
    }
    print(json.dumps(judgement))
    return 0


async def judge(runtime: LiteRT, model: str, golden: str, tolerance: Any) -> str:
    """ "" if the model is healthy, else what is wrong. OSError and MemoryError if this
    machine cannot tell."""
    for path in (model, golden):
        with open(path, "rb"):
            pass  # the runtime's own message would not tell a lost file from a bad one
    try:
        runtime.load(model)
        return await judge_golden(runtime.run, runtime.name, golden, tolerance, _never_wait)
    except ProofError as error:
        return str(error)


async def _never_wait() -> None:
    """Nobody else is waiting in this process."""


def _be_expendable(seconds: float) -> None:
    """If it crashes it leaves no core file, if memory ends it goes first, and if it is left
    alone (its parent was killed) it ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prove", description="Run a model's golden set.")
    parser.add_argument("--model", required=True, metavar="FILE")
    parser.add_argument("--golden", required=True, metavar="FILE")
    parser.add_argument(
        "--tolerance", required=True, type=_tolerance, metavar="JSON", help="as in the manifest"
    )
    parser.add_argument("--accelerator", default="", choices=ACCELERATORS)
    parser.add_argument("--seconds", default=PROOF_SECONDS, type=float, help="ends it then")
    return parser.parse_args(arguments)


def _tolerance(text: str) -> Any:
    try:
        value = strict_json.loads(text.encode())
        tolerance(value, "tolerance")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return value


if __name__ == "__main__":
    sys.exit(main())
