"""The hooks of a host: commands, for inference programs in processes of their own, where the exit
codes decide; and the program's own function `may_update`."""

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING

from modelwave_agent import ports
from modelwave_agent.host import process
from modelwave_agent.record import said
from modelwave_agent.types import Live
from modelwave_agent.upcoming import Upcoming

if TYPE_CHECKING:
    from modelwave_agent.types import MayAnswer

    MayUpdateFunction = Callable[[Upcoming], MayAnswer]

HOOK_SECONDS = 60
# Why a command could not be started for now. That says nothing about the model, so it is tried
# again.
PASSING = (
    errno.EAGAIN,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ETXTBSY,
    errno.EIO,
)
AGAIN_SECONDS = 0.5


class CommandHooks(ports.Hooks):
    """Hooks that run the commands `swap`, `health` and `may_update`, with arguments and without a
    shell. An empty command counts as success. MODELWAVE_… environment variables describe the
    model. `seconds` is the time limit of one command."""

    def __init__(
        self,
        swap: Sequence[str],
        health: Sequence[str],
        may: Sequence[str] = (),
        seconds: float = HOOK_SECONDS,
    ) -> None:
        self.swap = swap
        self.health = health
        self.may = may
        self.seconds = seconds

    async def serve(self, live: Live) -> str:
        return await self._run("swap", self.swap, variables(live))

    async def healthy(self, live: Live) -> str:
        return await self._run("health", self.health, variables(live))

    async def may_update(self, upcoming: Upcoming) -> str | bool | None:
        return await self._run("may_update", self.may, of_upcoming(upcoming))

    async def _run(self, name: str, command: Sequence[str], described: Mapping[str, str]) -> str:
        """Runs a command; returns "" if it exits with 0, else the problem with its last line on
        stderr."""
        if not command:
            return ""
        problem = f"not finished within {self.seconds:g} seconds"
        ended = None
        try:
            async with asyncio.timeout(self.seconds):
                while ended is None:
                    try:
                        ended = await process.run(command, os.environ | described)
                    except OSError as error:
                        problem = str(error)
                        if error.errno not in PASSING:
                            raise
                        await asyncio.sleep(AGAIN_SECONDS)
        except OSError:  # TimeoutError is one
            return f"{name} hook: {problem}"
        if ended.code == 0:
            return ""
        return f"{name} hook: exit code {ended.code}: {ended.last_line() or 'nothing on stderr'}"


class MayUpdate:
    """Asks a function of the program in a thread of its own, so that one that blocks holds up
    neither the agent nor its end. Until it has answered it is not called again."""

    def __init__(self, ask: "MayUpdateFunction", seconds: float = HOOK_SECONDS) -> None:
        """`ask` may be async: then it runs in the agent's event loop. `seconds`: how long to wait
        for its answer."""
        self.ask = ask
        self.seconds = seconds
        self.thread: threading.Thread | None = None

    async def __call__(self, upcoming: Upcoming) -> str | bool | None:
        """Returns what the function returns, or its exception as a text, or that it has not
        answered. Raises what it raises if it is async."""
        late = f"may_update: no answer within {self.seconds:g} seconds"
        if self.thread and self.thread.is_alive():
            return late
        future: Future[MayAnswer] = Future()
        self.thread = threading.Thread(target=self._call, args=(upcoming, future), daemon=True)
        self.thread.start()
        try:
            async with asyncio.timeout(self.seconds) as limit:
                answer = await asyncio.wrap_future(future)
                return await answer if isinstance(answer, Awaitable) else answer
        except TimeoutError:
            if not limit.expired():
                raise  # it is the program's own
            return late

    def _call(self, upcoming: Upcoming, future: "Future[MayAnswer]") -> None:
        try:
            answer = self.ask(upcoming)
        except BaseException as error:  # sys.exit too: it would end only this thread
            answer = f"hook: {said(error)}"
        with contextlib.suppress(InvalidStateError):  # nobody waits for it any more
            future.set_result(answer)


def of_upcoming(upcoming: Upcoming) -> dict[str, str]:
    """Returns the environment variables that describe a release to come to a hook."""
    return {
        "MODELWAVE_MODEL": upcoming.model,
        "MODELWAVE_RELEASE": str(upcoming.release),
        "MODELWAVE_VERSION": upcoming.version,
    }


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
