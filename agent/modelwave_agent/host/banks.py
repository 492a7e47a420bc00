"""The banks of a host: beside a model's files, a bank may hold the engines that TensorRT has built
of it (runtimes/engines.py). They take flash, and are deleted with the bank."""

import shutil
from pathlib import Path

from modelwave_agent.banks import Banks
from modelwave_agent.host.runtimes import engines


class HostBanks(Banks):
    """Banks that may hold engines."""

    def room(self, bank: int) -> int:
        room = super().room(bank)
        if room < self.limit_bytes or not self.limit_bytes:
            room += engines.held_bytes(self._engines(bank))  # `clear` frees them
        return min(room, self.limit_bytes) if self.limit_bytes else room

    def clear(self, bank: int) -> None:
        folder = self._engines(bank)
        if folder.is_dir():
            shutil.rmtree(folder)
        super().clear(bank)

    def _engines(self, bank: int) -> Path:
        folder = engines.folder_of(self.path(bank, "model"))
        assert folder is not None
        return folder
