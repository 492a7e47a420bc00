"""The process of a shadow: runs the candidate on the inputs that the agent sends, and compares its
outputs with those of the live model.

    python -m modelwave_agent.host.shadow_child --model F --tolerance JSON --reserved BYTES
        --format tflite --loading JSON --settings JSON --socket FD --parent PID

It ends when the agent closes its socket, and is killed when the agent's process has gone.
"""

import argparse
import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from modelwave_agent.host import agreement, given, shadow_input
from modelwave_agent.host.expendable import be_expendable
from modelwave_agent.host.memory import bytes_of
from modelwave_agent.host.runtime_options import add_runtime_options
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_agent.host.shadow_input import HEAD
from modelwave_agent.host.shadow_messages import (
    FAILED,
    LOADED,
    NO_CLASS,
    RAN,
    TOO_LARGE,
    UNABLE,
    UNLOADABLE,
    Answer,
)
from modelwave_agent.ports import ProofError
from modelwave_agent.record import said

if TYPE_CHECKING:
    from modelwave_agent.host.given import Arrays, Given

_PR_SET_PDEATHSIG = 1  # prctl(2)
NICE = 10  # the live model goes first


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    _end_with(options.parent)
    be_expendable()
    with contextlib.suppress(OSError):
        os.nice(NICE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (options.reserved, options.reserved))
    with socket.socket(fileno=options.socket) as line:
        try:
            runtime = registry.make(options.format, options.settings)
            runtime.load_surely(options.model, options.loading)
        except ProofError as error:
            return _unloaded(line, UNLOADABLE, error)
        except MemoryError as error:
            return _unloaded(line, TOO_LARGE, error)
        except OSError as error:
            return _unloaded(line, UNABLE, error)
        line.sendall(Answer(LOADED, peak_bytes=peak_bytes()).packed())
        while True:
            try:
                message = _received(line)
            except EOFError:
                return 0
            answer = judged(runtime, options.tolerance, *shadow_input.unpacked(*message))
            line.sendall(answer.packed())


def _unloaded(line: socket.socket, kind: int, error: Exception) -> int:
    line.sendall(Answer(kind, text=said(error)).packed())
    return 1


def judged(runtime: HostRuntime, tolerance: Any, inputs: "Given", live: "Arrays") -> Answer:
    """Runs the model on what the program gave to the live one, and compares with the outputs of
    that."""
    start = time.perf_counter()
    try:
        outputs = given.run(runtime, inputs)
    except MemoryError as error:
        return Answer(TOO_LARGE, peak_bytes=peak_bytes(), text=said(error))
    except Exception as error:
        return Answer(FAILED, peak_bytes=peak_bytes(), text=str(error) or said(error))
    latency_ms = (time.perf_counter() - start) * 1000
    outputs = {name: shadow_input.plain(array) for name, array in outputs.items()}
    agreed = agreement.agree(outputs, live, tolerance, runtime.configuration)
    predicted = agreement.predicted(outputs, tolerance)
    return Answer(
        RAN, agreed, NO_CLASS if predicted is None else predicted, latency_ms, peak_bytes()
    )


def peak_bytes() -> int:
    """The most memory that this process has had. getrusage(2) would tell that of the agent too,
    from before the start of this program."""
    return bytes_of("/proc/self/status", "VmHWM:")


def _received(line: socket.socket) -> tuple[bytes, bytes]:
    """Receives a message: its description, and its data."""
    description, data = HEAD.unpack(_exactly(line, HEAD.size))
    return _exactly(line, description), _exactly(line, data)


def _exactly(line: socket.socket, size: int) -> bytes:
    """Receives `size` bytes. Raises EOFError if the agent has closed the socket."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        got = line.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
    return bytes(data)


def _end_with(parent: int) -> None:
    """Has the kernel kill this process when the agent's process `parent` has gone, in whatever
    way. Its socket alone might be held open by a process that the program has forked."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)  # it had gone before


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="shadow", description="Run a model beside the live one.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--tolerance", required=True, type=json.loads)
    parser.add_argument("--reserved", required=True, type=int)
    add_runtime_options(parser)
    parser.add_argument("--socket", required=True, type=int)
    parser.add_argument("--parent", required=True, type=int)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
