"""The ports of the model `agent`. A bank holds the wheelhouse, and the environment that was made of
it."""

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwave_agent.banks import NAMES, Banks
from modelwave_agent.host import process
from modelwave_agent.host.memory import available_bytes
from modelwave_agent.host.self_update import environments, install
from modelwave_agent.host.self_update.choice import Start
from modelwave_agent.ports import Ports, Runtime
from modelwave_shared import host_platform
from modelwave_shared.agent_releases import AGENT_BUNDLE

if TYPE_CHECKING:
    from modelwave_agent.types import Document, Next, Record

INSTALL = (sys.executable, "-P", "-m", "modelwave_agent.host.self_update.install")
_GRACE_SECONDS = 30


class AgentBanks(Banks):
    """Banks that also hold the environments."""

    def venv(self, bank: int) -> Path:
        return Path(f"{self.folder}/{NAMES[bank]}.venv")

    def room(self, bank: int) -> int:
        return super().room(bank) + _bytes_of(self.venv(bank))  # `clear` frees them

    def clear(self, bank: int) -> None:
        environments.remove(self.venv(bank))
        super().clear(bank)


def _bytes_of(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if not path.is_symlink() and path.is_file())
    return sum(path.stat().st_size for path in files)


class AgentRuntime(Runtime):
    """Installs a wheelhouse in the environment of its bank, and asks the agent in it what it is."""

    name = format = AGENT_BUNDLE
    version = host_platform.WHEELHOUSE_FORM

    def __init__(self, config: Path) -> None:
        """`config`: this device's agent.toml, which the new agent has to be able to read."""
        self.config = config

    def free_ram(self) -> int:
        return available_bytes()

    async def prove(
        self, model_path: str, golden_path: str, manifest: Any, breathe: object = None
    ) -> str:
        if manifest["format"] != AGENT_BUNDLE:
            return f"its format is {manifest['format']}, a host takes {AGENT_BUNDLE}"
        command = [*INSTALL, "--wheelhouse", model_path, "--golden", golden_path]
        command += ["--venv", str(Path(model_path).with_suffix(".venv"))]
        command += ["--config", str(self.config.absolute())]
        try:
            async with asyncio.timeout(install.INSTALL_SECONDS + _GRACE_SECONDS):
                return _verdict(await process.run(command))
        except TimeoutError as error:
            raise OSError(f"not installed within {install.INSTALL_SECONDS} seconds") from error


def _verdict(ended: process.Ended) -> str:
    """Returns what the installation said. Raises MemoryError and OSError if it could not tell."""
    if ended.code == -signal.SIGKILL:
        raise MemoryError("the installation was killed; the kernel does this when memory runs out")
    if ended.code < 0:
        raise OSError(f"the installation was ended by {signal.Signals(-ended.code).name}")
    if ended.code > 0:
        raise OSError(ended.last_line() or f"exit code {ended.code}")
    for said in reversed(ended.out.splitlines()):
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(said)
            if isinstance(found, dict) and "healthy" in found:
                return "" if found["healthy"] else str(found["reason"])
    raise OSError(f"the installation gave no result, but {ended.out[-40:]!r}")


class AgentPorts(Ports):
    """The ports of the model `agent`."""

    runtime: AgentRuntime
    start: Start

    def has(self, bank: int, flash: int | None = None, ram: int | None = None) -> "Document":
        return super().has(bank, flash, ram) | {"runtimes": host_platform.offered()}

    def woken(self, record: "Record") -> "Next":
        start, self.start = self.start, self.start._replace(on_trial=False, verdict="")
        if start.on_trial and record["state"] == "trial":
            return "resumed", {}
        if start.verdict and record["state"] in ("trial", "fetching"):
            return "crashed", {"reason": start.verdict}
        return None

    def unusable(self, bank: int) -> str:
        lost, self.start = self.start.lost, self.start._replace(lost="")
        return lost

    def trial(self, wanted: "Document") -> "Document":
        return {**wanted, "inferences": 0}  # an agent has none
