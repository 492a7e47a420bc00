"""The ports of a carried board whose place the gateway takes: what it has, as it says itself."""

from typing import TYPE_CHECKING

from modelwave_agent.banks import Banks
from modelwave_agent.host.carried.board import Board
from modelwave_agent.host.carried.port import CarrierError
from modelwave_agent.journal import Journal
from modelwave_agent.ports import Clock, Fetcher, Hooks, Patcher, Ports, Runtime

if TYPE_CHECKING:
    from modelwave_agent.types import Breathe, Document


class CarrierRuntime(Runtime):
    """The board as a runtime. Its golden sets run when the new file is on the board, which is at
    the beginning of its trial (hooks.py); here it only has to answer."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def free_ram(self) -> int:
        if self.board.known is None:
            raise CarrierError(f"the board has not answered yet: {self.board.problem}")
        return self.board.known.ram_bytes

    async def prove(
        self, model_path: str, golden_path: str, manifest: "Document", breathe: "Breathe"
    ) -> str:
        """Asks whether the board answers. Raises CarrierError, which is tried again and counts
        against nothing."""
        async with self.board.turn:
            await self.board.ask()
        return ""


class CarrierPorts(Ports):
    """The ports of one model on one board."""

    def __init__(
        self,
        journal: Journal,
        banks: Banks,
        board: Board,
        fetcher: Fetcher,
        hooks: Hooks,
        clock: Clock,
        patcher: Patcher | None = None,
    ) -> None:
        super().__init__(
            journal, banks, CarrierRuntime(board), fetcher, hooks, clock, None, patcher
        )
        self.board = board

    def trial(self, wanted: "Document") -> "Document":
        """Inferences that nobody can count are not waited for."""
        return wanted if self.board.carrier.observes else {**wanted, "inferences": 0}

    def has(self, bank: int, flash: int | None = None, ram: int | None = None) -> "Document":
        """Raises CarrierError if `ram` is None and the board has never answered."""
        ram = self.runtime.free_ram() if ram is None else ram
        flash = self.banks.room(bank) if flash is None else flash
        known = self.board.known
        return {
            "flash": min(flash, known.slot_bytes) if known else 0,
            "ram": ram,
            "runtime": known.runtime if known else "",
            "runtime_version": known.runtime_version if known else "",
            "accelerator": "",
            "kernels": list(known.kernels) if known and known.kernels is not None else None,
        }
