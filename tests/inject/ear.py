"""Hears what a device reports, and checks it against what the device holds at this moment."""

import asyncio
from collections.abc import Callable
from typing import Any

from modelwave_shared.words import SUCCEEDED

Report = dict[str, Any]


class Ear:
    """Is called with each report of one device. `false(seq, sha256)` tells why it would be false
    now that the release with this manifest has SUCCEEDED by order `seq`; "" if it is true."""

    def __init__(self, false: Callable[[int, str], str]) -> None:
        self.false = false
        self.faults: list[str] = []
        self.told: dict[str, Any] = {}  # of the only model, in the newest report
        self._newest = (0, 0)
        self._news = asyncio.Event()

    def __call__(self, report: Report) -> None:
        number = report["boot"], report["n"]
        if number <= self._newest:
            self.faults.append(f"report {number} came after report {self._newest}")
        self._newest = max(number, self._newest)
        (self.told,) = report["models"].values()
        told = self.told
        if told["outcome"] == SUCCEEDED and (why := self.false(told["seq"], told["sha256"])):
            self.faults.append(f"SUCCEEDED was told, and {why}")
        self._news.set()

    async def hear(self, seq: int, *outcomes: str) -> None:
        """Returns when the newest report has one of these outcomes of this order."""
        while not (self.told.get("seq") == seq and self.told["outcome"] in outcomes):
            self._news.clear()
            await self._news.wait()

    async def begun(self, seq: int) -> None:
        """Returns when the newest report says that this order is under way, or over."""
        while self.told.get("seq") != seq:
            self._news.clear()
            await self._news.wait()

    def forget(self) -> None:
        """Only what comes from now on counts."""
        self.told = {}
