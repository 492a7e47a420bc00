"""The program of a board that reads digits: it starts the agent, and runs the live model.

    micropython main.py SETTINGS.json

SETTINGS.json: {path: folders to put before sys.path, device, target, host, port, root, folder,
bank_bytes, metrics_seconds, samples: a file of labelled pictures (64 bytes, then one byte for the
digit), pause: milliseconds between inferences}. With host "" the console is a wire to a gateway,
and hosts are those that files may come from. On a real board these settings would be in this
file, after the start of wlan and watchdog (docs/boards.md).
"""

import asyncio
import json
import struct
import sys

with open(sys.argv[1]) as file:
    settings = json.load(file)
sys.path[:0] = settings["path"]

import tflite_dense  # noqa: E402

from modelwave_agent.board.agent import BoardAgent  # noqa: E402
from modelwave_agent.board.runtime import FunctionRuntime  # noqa: E402

PICTURE_BYTES = 64
KERNELS = ["FULLY_CONNECTED", "SOFTMAX"]


class Reader:
    """Runs the model that serves on one labelled picture after the other."""

    def __init__(self):
        self.model = None
        self.release = 0

    def serve(self, live):
        """The agent's hook, called when `live` begins to serve, also on trial and after a
        rollback."""
        self.model = tflite_dense.load(live.path)
        self.release = live.release

    async def read(self, agent):
        for picture, digit in samples():
            await asyncio.sleep_ms(settings["pause"])
            if self.model:
                right = self._digit(picture) == digit
                agent.observe("digits", labelled=1, correct=right, release=self.release)

    def _digit(self, picture):
        scores = struct.unpack("10b", self.model(picture))
        return scores.index(max(scores))


def samples():
    """Yields the labelled pictures in an endless loop. A real board would use pictures of its
    camera, with labels by a person."""
    while True:
        with open(settings["samples"], "rb") as file:
            while True:
                sample = file.read(PICTURE_BYTES + 1)
                if not sample:
                    break
                yield sample[:-1], sample[-1]


def connection():
    """Returns the link to the broker, and what fetches files; None for blocks over the link."""
    if settings["host"]:
        from modelwave_agent.board.mqtt import MqttLink

        link = MqttLink(settings["host"], settings["port"], settings["device"], keepalive=10)
        return link, None
    from modelwave_agent.board.serial_fetcher import SerialFetcher
    from modelwave_agent.board.serial_link import SerialLink
    from modelwave_agent.board.serial_stream import ConsoleStream

    link = SerialLink(ConsoleStream(), settings["device"])
    return link, SerialFetcher(link, settings["hosts"])


async def main():
    reader = Reader()
    link, fetcher = connection()
    agent = BoardAgent(
        settings["device"],
        settings["target"],
        {"digits": FunctionRuntime(tflite_dense.load, kernels=KERNELS)},
        link,
        folder=settings["folder"],
        root=settings["root"],
        fetcher=fetcher,
        serve=reader.serve,
        bank_bytes=settings["bank_bytes"],
        metrics_seconds=settings["metrics_seconds"],
    )
    await asyncio.gather(agent.run(), reader.read(agent))


asyncio.run(main())
