"""A broker and a controller in the same heap, for programs on MicroPython that look at the
agent and not at the network."""

import asyncio
import struct

from modelwave_agent import ports

PIECE_BYTES = 512
BLOCK_BYTES = 1024


class NearLink(ports.BrokerLink):
    """Delivers `messages` (topic, payload) to whoever subscribes; keeps what is published,
    if told to; answers requests for file blocks from the folder `files`."""

    def __init__(self, messages, files="", keep=False):
        self.messages = messages
        self.files = files
        self.published = [] if keep else None
        self.topics = []
        self.asked = None  # topic, digest, offset, blocks
        self.arrived = asyncio.Event()

    async def connect(self, will_topic, will):
        pass

    async def subscribe(self, wanted):
        self.topics = wanted
        self.arrived.set()

    async def subscribe_if_allowed(self, wanted):
        self.topics = list(self.topics) + wanted
        return "/reported/" not in wanted[0]  # nothing comes back here

    async def publish(self, topic, payload, retain):
        if self.published is not None:
            self.published.append((topic, payload))
        if topic.endswith("/get"):
            digest, offset, blocks = struct.unpack(">32sIH", payload)
            self.asked = topic[:-3] + "block", digest, offset, blocks
            self.arrived.set()
        await asyncio.sleep(0)

    def order(self, path):
        """The message of the first topic, which is a slot's."""
        with open(path, "rb") as file:
            self.messages.append((self.topics[0], file.read()))
        self.arrived.set()

    async def receive(self):
        while True:
            for index, (topic, payload) in enumerate(self.messages):
                if topic in self.topics:
                    del self.messages[index]
                    return topic, payload
            if self.asked:
                return self._block()
            self.arrived.clear()
            await self.arrived.wait()

    def _block(self):
        topic, digest, offset, blocks = self.asked
        self.asked = (topic, digest, offset + BLOCK_BYTES, blocks - 1) if blocks > 1 else None
        with open("%s/%s" % (self.files, digest.hex()), "rb") as file:
            file.seek(offset)
            return topic, struct.pack(">8sI", digest, offset) + file.read(BLOCK_BYTES)

    async def close(self):
        pass


class FolderFetcher(ports.Fetcher):
    """The files of a folder, by their sha256."""

    def __init__(self, folder):
        self.folder = folder

    async def fetch(self, url, intake):
        with open("%s/%s" % (self.folder, url.split("/")[-1]), "rb") as file:
            file.seek(intake.offset)
            while True:
                piece = file.read(PIECE_BYTES)
                if not piece:
                    return
                intake.write(piece)
                await asyncio.sleep(0)
