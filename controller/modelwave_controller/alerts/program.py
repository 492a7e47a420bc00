"""Runs a command of the operator's once, with an alert on its standard input. No shell is asked.

It is in a process group of its own, which is ended as a whole when its time is over. It gets few
variables of the environment: what the service was started with may have secrets. Of its output the
first part is kept; a child that it leaves behind, with the output open, is not waited for.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from modelwave_controller.alerts.outcome import NotSent, printable

MAX_OUTPUT_BYTES = 2000
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME")
LOOK_SECONDS = 0.1


def run(
    command: Sequence[str],
    folder: Path,
    variables: dict[str, str],
    body: bytes,
    seconds: float,
    stopping: threading.Event,
) -> str:
    """Returns what the program printed, as one line. Raises NotSent if it ends with another code
    than 0, does not end in time, or cannot be started. `stopping` ends it early."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    with tempfile.TemporaryFile() as given:
        given.write(body)
        given.seek(0)
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=kept | variables,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise NotSent(f"{command[0]} cannot be started: {why}") from None
    with process:
        try:
            in_time, output = _watch(process, seconds, stopping)
        finally:
            if process.poll() is None:  # so its id is still its own
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    said = printable(output.decode(errors="replace"))
    if not in_time:
        why = "the service stops" if stopping.is_set() else f"it still ran after {seconds:g} s"
        raise NotSent(f"{command[0]} was ended: {why}{f': {said}' if said else ''}")
    if process.returncode:
        raise NotSent(f"{command[0]} ended with {process.returncode}{f': {said}' if said else ''}")
    return said


def _watch(
    process: "subprocess.Popen[bytes]", seconds: float, stopping: threading.Event
) -> tuple[bool, bytes]:
    """Returns whether the program ended in time, and the first part of its output."""
    assert process.stdout is not None
    end, output = time.monotonic() + seconds, b""
    descriptor = process.stdout.fileno()
    os.set_blocking(descriptor, False)
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            over = process.poll() is not None
            if not selector.get_map():  # it has closed its output
                if over:
                    return True, output
                stopping.wait(LOOK_SECONDS)
            elif selector.select(0 if over else LOOK_SECONDS):
                chunk = os.read(descriptor, 65536)
                if not chunk:
                    selector.unregister(descriptor)
                output = (output + chunk)[:MAX_OUTPUT_BYTES]
            elif over:
                return True, output
            if time.monotonic() >= end or (stopping.is_set() and not over):
                return over, output
