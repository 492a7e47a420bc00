"""An event loop whose time passes only when a test says so."""

import asyncio


class Hand:
    """Moves the clock of the loop that runs, which stands still otherwise: what comes between
    two moves does not depend on how fast the machine is."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time()
        self.loop.time = lambda: self.now

    async def move(self, seconds):
        self.now += seconds
        for _ in range(3):  # whoever waited for this moment goes first
            await asyncio.sleep(0)
