"""The files that the gateway itself needs, for the boards whose agent it runs: from the store, so
that boards which want the same file have it fetched once."""

import asyncio

from modelwave_agent.host.http import PIECE_BYTES
from modelwave_agent.host.relay.store import FileStore
from modelwave_agent.intake import Intake
from modelwave_agent.ports import Fetcher


class StoreFetcher(Fetcher):
    def __init__(self, store: FileStore, source: Fetcher) -> None:
        """`source` fetches what the store does not have."""
        self.store = store
        self.source = source

    async def fetch(self, url: str, intake: Intake) -> None:
        async def bring(kept: Intake) -> None:
            await self.source.fetch(url, kept)

        with await self.store.opened(intake.sha256, intake.wanted, bring) as file:
            file.seek(intake.offset)
            while data := file.read(PIECE_BYTES):
                intake.write(data)
                await asyncio.sleep(0)
