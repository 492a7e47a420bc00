"""The process of a shadow with a runtime that does what the model's file says. The tests start it
in place of modelwave_agent/host/shadow_child.py."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy

from modelwave_agent.host import shadow_child
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_agent.host.runtimes.specs import TensorSpec
from modelwave_agent.ports import ProofError

RESERVED_BYTES = 2**30  # and never used
FOREVER = 10**6
BLOCK_BYTES = 8 * 2**20
MOST_BLOCKS = 50  # it must not take the machine with it, should nobody end it


class OddRuntime(HostRuntime):
    configuration = "tflite-runtime"
    inputs = (TensorSpec("input", "|i1", (10,)),)
    outputs = (TensorSpec("output", "|i1", (10,)),)

    def __init__(self):
        self.eaten = []
        self.runs = 0

    def load(self, path, loading):
        self.way = Path(path).read_text()
        if self.way == "unloadable":
            raise ProofError("the model cannot be loaded")

    def _run(self, inputs):
        self.runs += 1
        output = getattr(self, self.way, bytes)(inputs["input"].tobytes())
        return {"output": numpy.frombuffer(output, numpy.int8)}

    def reverses(self, data):
        return data[::-1]

    def hangs(self, data):
        time.sleep(FOREVER)

    def crashes(self, data):
        os.kill(os.getpid(), signal.SIGSEGV)

    def leaves(self, data):
        os._exit(3)

    def ends(self, data):
        os._exit(0)

    def reserves(self, data):
        return bytearray(RESERVED_BYTES)

    def is_killed(self, data):
        os.kill(os.getpid(), signal.SIGKILL)

    def eats(self, data):
        for _ in range(MOST_BLOCKS):
            self.eaten.append(b"x" * BLOCK_BYTES)
        time.sleep(FOREVER)

    def prints(self, data):
        for stream in (1, 2):
            os.write(stream, b"a line of the model\n" * 10_000)
        return data

    def garbles(self, data):
        line = int(sys.argv[sys.argv.index("--socket") + 1])
        os.write(line, b"no answer at all, but a long text that a model may write")
        time.sleep(FOREVER)

    def is_slow(self, data):
        time.sleep(0.005)
        return data

    def fails(self, data):
        raise ProofError("a node failed to invoke")

    def fails_now_and_then(self, data):
        if self.runs % 10 == 5:
            raise ProofError("a node failed to invoke")
        return data


registry.make = lambda format_, settings: OddRuntime()

if __name__ == "__main__":
    sys.exit(shadow_child.main())
