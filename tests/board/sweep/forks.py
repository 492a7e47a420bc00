"""Lives of a board, each in a process that is forked off from one that has the program's modules:
they are most of what a short life costs."""

import json
import os
import queue
import signal
import subprocess
import weakref

from tests import micropython


class Forks:
    def __init__(self, program):
        """`program`: forks off a life for each path on a line of stdin (device.serve)."""
        self.program = program
        self.idle = queue.SimpleQueue()
        weakref.finalize(self, _end, self.idle)

    def run(self, path):
        """The finished process of a life, as of subprocess.run. May be called in threads."""
        try:
            parent = self.idle.get_nowait()
        except queue.Empty:
            parent = self._start()
        parent.stdin.write(f"{path}\n")
        parent.stdin.flush()
        printed, errors = [], []
        for line in parent.stdout:
            if line.startswith('{"status"'):
                code = os.waitstatus_to_exitcode(json.loads(line)["status"])
                self.idle.put(parent)
                return subprocess.CompletedProcess([], code, "".join(printed), "".join(errors))
            (printed if line.startswith("{") else errors).append(line)
        raise RuntimeError(f"{self.program.name} has ended: {''.join(errors)}")

    def _start(self):
        """A Ctrl-C does not reach it: a life would be a point that fails."""
        pipe, command = subprocess.PIPE, micropython.command(self.program)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _end(idle):
    while not idle.empty():
        with idle.get() as parent:
            parent.stdin.close()
