"""A broker and a file server in the same heap, for programs on MicroPython that look at the
agent and not at the network."""

import asyncio

from modelwave_agent import ports

PIECE_BYTES = 512


class NearLink(ports.Link):
    """Delivers `messages` (topic, payload) to whoever subscribes; keeps what is published."""

    def __init__(self, messages):
        self.messages = messages
        self.published = []
        self.waiting = []
        self.arrived = asyncio.Event()

    async def connect(self, will_topic, will):
        pass

    async def subscribe(self, wanted):
        for topic, payload in self.messages:
            if topic in wanted:
                self.deliver(topic, payload)

    def deliver(self, topic, payload):
        self.waiting.append((topic, payload))
        self.arrived.set()

    async def publish(self, topic, payload, retain):
        self.published.append((topic, payload))
        await asyncio.sleep(0)

    async def receive(self):
        while not self.waiting:
            self.arrived.clear()
            await self.arrived.wait()
        return self.waiting.pop(0)

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
