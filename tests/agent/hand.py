"""An event loop whose time passes only when a test moves it."""

import asyncio


class Hand:
    """Moves the clock of the running loop, which otherwise stands still. What happens between two
    moves does not depend on the speed of the machine."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time()
        self.loop.time = lambda: self.now

    async def move(self, seconds):
        self.now += seconds
        for _ in range(3):  # whoever waited for this moment goes first
            await asyncio.sleep(0)
