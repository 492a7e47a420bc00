"""Command hooks for inference programs in processes of their own; the exit codes decide."""

import asyncio
import os
from collections.abc import Sequence

from modelwave_agent import ports
from modelwave_agent.host import process
from modelwave_agent.types import Live

HOOK_SECONDS = 60


class CommandHooks(ports.Hooks):
    """Hooks that run the commands `swap` and `health`, with arguments and without a shell. An empty
    command counts as success. MODELWAVE_… environment variables describe the model. `seconds` is
    the time limit of one command."""

    def __init__(
        self, swap: Sequence[str], health: Sequence[str], seconds: float = HOOK_SECONDS
    ) -> None:
        self.swap = swap
        self.health = health
        self.seconds = seconds

    async def serve(self, live: Live) -> str:
        return await self._run("swap", self.swap, live)

    async def healthy(self, live: Live) -> str:
        return await self._run("health", self.health, live)

    async def _run(self, name: str, command: Sequence[str], live: Live) -> str:
        """Runs a command; returns "" if it exits with 0, else the problem with its last line on
        stderr."""
        if not command:
            return ""
        try:
            async with asyncio.timeout(self.seconds):
                ended = await process.run(command, os.environ | variables(live))
        except TimeoutError:  # must come first: it is an OSError too
            return f"{name} hook: not finished within {self.seconds:g} seconds"
        except OSError as error:
            return f"{name} hook: {error}"
        if ended.code == 0:
            return ""
        return f"{name} hook: exit code {ended.code}: {ended.last_line() or 'nothing on stderr'}"


def variables(live: Live) -> dict[str, str]:
    """Returns the environment variables that describe the model to a hook. Paths are absolute,
    because a hook passes them to programs with other working directories."""
    return {
        "MODELWAVE_MODEL": live.model,
        "MODELWAVE_RELEASE": str(live.release),
        "MODELWAVE_VERSION": live.version,
        "MODELWAVE_MODEL_PATH": os.path.abspath(live.path),
        "MODELWAVE_LABELS_PATH": os.path.abspath(live.labels_path) if live.labels_path else "",
        "MODELWAVE_ON_TRIAL": "1" if live.on_trial else "0",
    }
