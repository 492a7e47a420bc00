"""An Intake in memory, for tests of what writes into one; runs on both Pythons."""

from modelwave_agent.intake import TooLong


class Taken:
    """Takes up to `wanted` bytes into `data`."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.offset = 0
        self.data = b""

    def write(self, data):
        if self.offset + len(data) > self.wanted:
            raise TooLong("more than the %d bytes signed" % self.wanted)
        self.data += bytes(data)
        self.offset += len(data)
