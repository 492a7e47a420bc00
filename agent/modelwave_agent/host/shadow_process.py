"""Runs a candidate in a process of its own (shadow_child.py), and watches its memory and its time.

One thread does all that: the kernel kills the process with the thread that started it.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelwave_agent.host.proving import NOT_ITS_FAULT
from modelwave_agent.host.runtime_options import runtime_words
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_agent.host.shadow_messages import (
    LOADED,
    TOO_LARGE,
    UNABLE,
    UNLOADABLE,
    Answer,
    read_answer,
)

CHILD = (sys.executable, "-P", "-m", "modelwave_agent.host.shadow_child")
LOOK_SECONDS = 0.1  # between two looks at its memory
# The agent looks at the memory that is used. What is reserved may be this much above the budget: a
# limit for a model that takes much between two looks.
RESERVED_BYTES = 512 * 2**20
END_SECONDS = 5  # for a killed process to end
_PIECE_BYTES = 65536
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ShadowEnded(Exception):
    """The shadow cannot go on: the event of machine.TABLE, and its reason."""

    def __init__(self, event: str, reason: str) -> None:
        super().__init__(reason)
        self.event = event
        self.reason = reason


class ShadowStopped(Exception):
    """The agent does not want the shadow any more."""


@dataclass(frozen=True)
class ShadowSettings:
    """`ram_bytes`: most that the process may have. `answer_seconds`: after which a model that has
    not answered hangs."""

    model_path: str
    format: str
    loading: Any
    tolerance: Any
    runtime: RuntimeSettings
    ram_bytes: int
    answer_seconds: float


class ShadowProcess:
    """Methods raise ShadowEnded, and ShadowStopped once `stopping` is set."""

    def __init__(self, settings: ShadowSettings, stopping: threading.Event) -> None:
        """Raises OSError if the process cannot be started."""
        self.settings = settings
        self.stopping = stopping
        self.is_loaded = False
        self.line, child_line = socket.socketpair()
        try:
            self.process = subprocess.Popen(
                _command(settings, child_line.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the model, or its runtime, may write there
                stderr=subprocess.DEVNULL,
                pass_fds=(child_line.fileno(),),
                start_new_session=True,
            )
        except BaseException:
            self.line.close()
            raise
        finally:
            child_line.close()
        self.line.setblocking(False)

    def load(self) -> Answer:
        """Waits until the model is loaded."""
        answer = self._answer(b"")
        if answer.kind in (UNLOADABLE, TOO_LARGE):
            # It was loaded a moment ago, for its golden set, without the limit.
            raise ShadowEnded(
                "over", f"not loaded with {self.settings.ram_bytes} bytes of RAM: {answer.text}"
            )
        if answer.kind != LOADED:
            raise ShadowEnded("stuck", answer.text)
        self.is_loaded = True
        return answer

    def ask(self, message: Sequence[bytes]) -> Answer:
        """Runs the model on the message of shadow_input.py, in pieces."""
        answer = self._answer(*message)
        if answer.kind in (LOADED, UNLOADABLE, UNABLE):
            raise ShadowEnded("unhealthy", "the model's process gave no answer that can be read")
        if answer.kind == TOO_LARGE:
            told = f"ram: more reserved than {self.settings.ram_bytes + RESERVED_BYTES} bytes"
            raise ShadowEnded("over", told)
        return answer

    def check(self) -> None:
        """Looks whether the process is well, while there is nothing to do."""
        self._check_memory(self._used_bytes())
        if self.process.poll() is not None:
            raise self._death()

    def end(self) -> None:
        """Kills the process, with those of its session, and waits for its end."""
        self.line.close()
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)

    def _answer(self, *pieces: bytes) -> Answer:
        """Sends `pieces`, and returns the answer."""
        unsent = [memoryview(piece) for piece in pieces if piece]
        received = bytearray()
        poll = select.poll()
        waited, before = 0.0, time.monotonic()
        while True:
            poll.register(self.line, select.POLLIN | (select.POLLOUT if unsent else 0))
            poll.poll(LOOK_SECONDS * 1000)
            if self.stopping.is_set():
                raise ShadowStopped
            try:
                self._send(unsent)
                answer = self._receive(received)
            except ConnectionError:
                raise self._death() from None
            except ValueError as error:
                told = f"the model's process gave no answer that can be read: {error}"
                raise ShadowEnded("unhealthy", told) from error
            if answer:
                self._check_memory(answer.peak_bytes)
                return answer
            self._check_memory(self._used_bytes())
            # A time when the whole machine stood still does not count.
            now = time.monotonic()
            waited += min(now - before, 2 * LOOK_SECONDS)
            before = now
            if waited > self.settings.answer_seconds:
                told = f"no answer within {self.settings.answer_seconds:g} seconds"
                raise ShadowEnded("unhealthy", told)

    def _send(self, unsent: list[memoryview]) -> None:
        while unsent:
            try:
                # Without a signal: the program may have set that SIGPIPE ends it.
                sent = self.line.send(unsent[0], socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            unsent[0] = unsent[0][sent:]
            if not unsent[0]:
                del unsent[0]

    def _receive(self, received: bytearray) -> Answer | None:
        try:
            piece = self.line.recv(_PIECE_BYTES)
        except BlockingIOError:
            return None
        if not piece:
            raise ConnectionError("the process has closed its socket")
        received += piece
        return read_answer(bytes(received))

    def _used_bytes(self) -> int:
        """The memory that the process has now; 0 if it has gone."""
        try:
            with open(f"/proc/{self.process.pid}/statm", encoding="utf-8") as file:
                return int(file.read().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError, ValueError):
            return 0

    def _check_memory(self, used: int) -> None:
        allowed = self.settings.ram_bytes
        if used > allowed:
            raise ShadowEnded("over", f"ram: {used} bytes used, {allowed} allowed")

    def _death(self) -> ShadowEnded:
        """What the end of the process means."""
        try:
            code = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return ShadowEnded("unhealthy", "the model closed the connection to the agent")
        if code == -signal.SIGKILL:
            told = "it was killed; the kernel does this when memory runs out"
            return ShadowEnded("stuck", told)
        if -code in NOT_ITS_FAULT:
            return ShadowEnded("stuck", f"it was ended from outside ({_name(code)})")
        if code < 0:
            return ShadowEnded("unhealthy", f"the model crashed its runtime ({_name(code)})")
        # 0 is also what a program sees that lets the system forget its children (SIGCHLD ignored).
        event = "unhealthy" if self.is_loaded and code else "stuck"
        return ShadowEnded(event, f"its process ended itself, with exit code {code}")


def _name(code: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _command(settings: ShadowSettings, line: int) -> list[str]:
    options = {
        "--model": settings.model_path,
        "--tolerance": json.dumps(settings.tolerance),
        "--reserved": str(settings.ram_bytes + RESERVED_BYTES),
        "--socket": str(line),
        "--parent": str(os.getpid()),
        **runtime_words(settings.format, settings.loading, settings.runtime),
    }
    return [*CHILD, *(text for pair in options.items() for text in pair)]
