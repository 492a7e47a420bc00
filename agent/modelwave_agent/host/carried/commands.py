"""A board that is only flashed, by the commands of somebody else's tools: esptool, openocd,
dfu-util, picotool.

    write    brings a file to the board, over the one that runs there, and makes it run
    health   exits with 0 if the board is well, with 75 if it does not answer, else it is not well
    state    prints which file runs; without it the gateway believes its own journal

Such a board has no boot loader that brings the older file back: the gateway writes it again, from
its other bank. A write is journalled before it begins, so after a power cut in between the board
counts as one that runs no file that is known.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from shutil import which
from typing import TYPE_CHECKING, Any

from modelwave_agent.host import process
from modelwave_agent.host.apart import apart
from modelwave_agent.host.carried.answers import COUNTS, Answer, read_answer
from modelwave_agent.host.carried.port import (
    BoardState,
    Carrier,
    CarrierError,
    Observed,
    Progress,
)
from modelwave_agent.host.digests import sha256_of
from modelwave_agent.journal import Journal

if TYPE_CHECKING:
    from modelwave_agent.types import Document

Run = Callable[[Sequence[str], Mapping[str, str]], Awaitable[process.Ended]]

NO_ANSWER = 75  # EX_TEMPFAIL of sysexits.h
FILE, GOLDEN, PORT = "{file}", "{golden}", "{port}"  # in commands
MAX_OBSERVED = 16
FROM_OUTSIDE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
NOTHING_OLDER = (
    "there is no older file to write back: give the board's first one as factory in relay.toml"
)


@dataclass(frozen=True)
class Commands:
    """The commands of one board, its limits, and for how long each may run."""

    write: tuple[str, ...]
    health: tuple[str, ...]
    state: tuple[str, ...]  # () for none
    write_seconds: float
    health_seconds: float
    state_seconds: float
    flash_bytes: int
    ram_bytes: int
    kernels: tuple[str, ...] | None
    runtime: str
    runtime_version: str
    factory: str  # the path of the file that the board had first, "" if there is none

    def problems(self) -> list[str]:
        """Returns a line for each program that is missing."""
        programs = dict.fromkeys(line[0] for line in (self.write, self.health, self.state) if line)
        return [f"{name}: no such program is installed" for name in programs if not which(name)]


class CommandCarrier(Carrier):
    """One model on a board that commands write."""

    def __init__(
        self,
        commands: Commands,
        journal: Journal,
        port: Callable[[], str] = lambda: "",
        run: Run = process.run,
    ) -> None:
        """`journal`: of what was written. `port`: returns the path of the board's device, and
        raises CarrierError if it is not plugged in. `run`: as process.run."""
        self.commands = commands
        self.proves = any(GOLDEN in part for part in commands.health)
        self.observes = False
        self._journal = journal
        self._record = _noted(journal)
        self._port = port
        self._start = run
        self._golden = ""
        self._counted: tuple[str, tuple[int, ...]] | None = None  # (file, counts) of the last look
        self._observed: list[Observed] = []

    async def state(self) -> BoardState:
        commands, runs = self.commands, self._held()
        self._require_programs()
        answer = Answer(runs)
        if commands.state:
            answer = await self._ask()
            self._look(answer)
        else:
            self._port()
        return BoardState(
            answer.sha256,
            not self._record or (answer.sha256 == runs and self._record.get("confirmed") is True),
            commands.flash_bytes if answer.flash_bytes is None else answer.flash_bytes,
            commands.ram_bytes if answer.ram_bytes is None else answer.ram_bytes,
            commands.kernels if answer.kernels is None else answer.kernels,
            commands.runtime,
            commands.runtime_version,
        )

    async def write(self, path: str, sha256: str, progress: Progress) -> str:
        await self._flash(path, sha256, False)
        return ""

    async def prove(self, golden_path: str, manifest: "Document") -> str:
        self._golden = golden_path
        return await self.healthy(self.commands.health_seconds)

    async def healthy(self, seconds: float) -> str:
        command = self.commands.health
        ended = await self._run("health", command, seconds, {GOLDEN: self._golden})
        if ended.code == 0:
            return ""
        problem = _problem("health", ended)
        if ended.code == NO_ANSWER or -ended.code in FROM_OUTSIDE:
            raise CarrierError(problem)
        if self.commands.state:
            await self._ask()  # one that does not answer is not ill
        return problem

    async def confirm(self) -> None:
        held = self._held()
        if self.commands.state:
            held = (await self._ask()).sha256
        if not held:
            raise CarrierError("it is not known which file the board runs")
        self._note({"holds": held, "confirmed": True})

    async def back(self, path: str, sha256: str) -> None:
        held = (await self._ask()).sha256 if self.commands.state else self._held()
        if held == sha256:
            self._note({"holds": sha256, "confirmed": True})
        else:
            await self._flash(path, sha256, True)

    async def leave(self) -> None:
        if not self.commands.factory:
            raise CarrierError(NOTHING_OLDER)
        await self.back(
            self.commands.factory, await apart(lambda: sha256_of(self.commands.factory))
        )

    async def observed(self) -> list[Observed]:
        found, self._observed = self._observed, []
        return found

    def _require_programs(self) -> None:
        """Raises CarrierError if a program is missing, before a release is tried with it."""
        for problem in self.commands.problems():
            raise CarrierError(problem)

    # What was written.

    def _held(self) -> str:
        """Returns the file that was written last, "" if that is not known."""
        return str(self._record.get("holds", ""))

    def _note(self, record: dict[str, Any]) -> None:
        if record != self._record:
            self._journal.write(record)
            self._record = record

    async def _flash(self, path: str, sha256: str, is_confirmed: bool) -> None:
        self._note({"writes": sha256})
        words = {FILE: os.path.abspath(path)}
        ended = await self._run("write", self.commands.write, self.commands.write_seconds, words)
        if ended.code:
            raise CarrierError(_problem("write", ended))
        self._note({"holds": sha256, "confirmed": is_confirmed})

    # Commands.

    async def _ask(self) -> Answer:
        ended = await self._run("state", self.commands.state, self.commands.state_seconds, {})
        if ended.code:
            raise CarrierError(_problem("state", ended))
        try:
            return read_answer(ended.out)
        except ValueError as error:
            raise CarrierError(f"state command: {error}") from error

    async def _run(
        self, name: str, command: Sequence[str], seconds: float, words: Mapping[str, str]
    ) -> process.Ended:
        """Runs a command, without a shell. Raises CarrierError if it cannot be started, or does not
        end in time."""
        words = {**words, PORT: self._port()}
        variables = {f"MODELWAVE_{word[1:-1].upper()}": value for word, value in words.items()}
        try:
            async with asyncio.timeout(seconds):
                return await self._start(_filled(command, words), os.environ | variables)
        except TimeoutError as error:
            raise CarrierError(f"{name} command: not finished within {seconds:g} s") from error
        except OSError as error:
            raise CarrierError(f"{name} command: {error}") from error

    # What the board counts.

    def _look(self, answer: Answer) -> None:
        """Takes what the board has counted since the last look, if it says so."""
        self.observes = answer.counts is not None
        if answer.counts is None:
            return
        last, self._counted = self._counted, (answer.sha256, answer.counts)
        if last is None:
            return  # since when it counts is not known
        before = last[1] if last[0] == answer.sha256 else (0,) * len(COUNTS)
        if any(now < then for now, then in zip(answer.counts, before, strict=True)):
            before = (0,) * len(COUNTS)  # it was reset
        counts = [now - then for now, then in zip(answer.counts, before, strict=True)]
        if any(counts):
            inferences, failures, labelled, correct = counts
            self._observed.append(Observed(answer.sha256, inferences, failures, labelled, correct))
        self._observed = self._observed[-MAX_OBSERVED:]


def _noted(journal: Journal) -> dict[str, Any]:
    try:
        return journal.read() or {}
    except OSError:
        return {"writes": ""}  # as after a power cut in a write


def _filled(command: Sequence[str], words: Mapping[str, str]) -> list[str]:
    filled = list(command)
    for word, value in words.items():
        filled = [part.replace(word, value) for part in filled]
    return filled


def _problem(name: str, ended: process.Ended) -> str:
    return f"{name} command: exit code {ended.code}: {ended.last_line() or 'nothing on stderr'}"
