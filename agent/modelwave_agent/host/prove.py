"""Runs a model's golden set in a process of its own, for the device's agent and for the
controller's `release create`.

    python -m modelwave_agent.host.prove --model F --golden F --tolerance JSON
        --format tflite --loading JSON --settings JSON

Prints one JSON line {"healthy", "reason", "runtime", "version"} and exits with 0 if the golden
set was run; with --weigh also {"weak"}: why the set cannot fail, "" if it can. Exits with 1 and a
line on stderr if it could not be run (no runtime, no memory, an unreadable file), and with 2 for
wrong arguments. A model may also crash it, or its alarm ends it.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence

from modelwave_agent.host.accelerators import Accelerator
from modelwave_agent.host.expendable import be_expendable
from modelwave_agent.host.proving import PROOF_SECONDS
from modelwave_agent.host.runtime_options import add_runtime_options, checked_by
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_agent.ports import ProofError
from modelwave_agent.proof import judge_golden
from modelwave_agent.record import said
from modelwave_shared import manifests
from modelwave_shared.golden import GoldenError

MAX_REASON = 1000  # characters; a runtime may list all missing operators


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    be_expendable()
    signal.setitimer(signal.ITIMER_REAL, options.seconds)  # also if its parent was killed
    try:
        Accelerator(options.settings.accelerator)  # before its library is loaded here
        runtime = registry.make(options.format, options.settings)
        reason = asyncio.run(judge(runtime, options))
    except (ProofError, OSError, MemoryError) as error:
        print(f"prove: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    judgement = {
        "healthy": not reason,
        "reason": printable(reason[:MAX_REASON]),
        "runtime": runtime.name,
        "version": runtime.version,
    }
    if options.weigh:
        judgement["weak"] = printable(_weakness(options)[:MAX_REASON])
    print(json.dumps(judgement))
    return 0


def printable(text: str) -> str:
    """Returns `text` in printable ASCII: the agent keeps only the end of a long line."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)


async def judge(runtime: HostRuntime, options: argparse.Namespace) -> str:
    """Runs the golden set; returns "" if the model is healthy, else the reason. Raises OSError or
    MemoryError if this machine cannot run it."""
    for path in (options.model, options.golden):
        with open(path, "rb"):
            pass  # the runtime's own error is the same for a missing file and a bad one
    # numpy comes with a runtime, and without one there is another message.
    from modelwave_agent.host.golden import binary, proof
    from modelwave_agent.host.golden.archive import is_archive

    try:
        runtime.load_surely(options.model, options.loading)
        if is_archive(options.golden):
            return proof.judge(runtime, options.golden, options.tolerance)
        binary.require_fit(binary.read_header(options.golden), runtime.inputs, runtime.outputs)
        return await judge_golden(
            runtime.run_bytes,
            runtime.configuration,
            options.golden,
            options.tolerance,
            _never_wait,
        )
    except (ProofError, GoldenError) as error:
        return str(error)
    except (OSError, MemoryError):
        raise
    except ImportError as error:  # a file of this device that is missing, or cannot be read now
        raise OSError(said(error)) from error
    except (Exception, SystemExit) as error:  # a runtime of another package may raise anything
        return f"proof: {said(error)}"


def _weakness(options: argparse.Namespace) -> str:
    from modelwave_agent.host.golden.weakness import weakness

    try:
        return weakness(options.golden, options.tolerance)
    except GoldenError:
        return ""  # the verdict says it


async def _never_wait() -> None:
    """Does nothing, as this process has no other tasks."""


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prove", description="Run a model's golden set.")
    parser.add_argument("--model", required=True, metavar="FILE")
    parser.add_argument("--golden", required=True, metavar="FILE")
    parser.add_argument(
        "--tolerance",
        required=True,
        type=checked_by(manifests.tolerance, "tolerance"),
        metavar="JSON",
        help="as in the manifest",
    )
    add_runtime_options(parser)
    parser.add_argument("--weigh", action="store_true", help="also say why it cannot fail")
    parser.add_argument("--seconds", default=PROOF_SECONDS, type=float, help="time limit")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
