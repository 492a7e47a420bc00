"""The port to a board that has no agent: what the gateway can ask of it, and do to it.

A Carrier is for one model on one board, whose release is one file there. The board runs one file
and may have room for a second one; the gateway holds both in its banks (banks.py). In the words of
the boot loader MCUboot:

    write      uploads the file into the spare slot, marks it for a test, and resets the board
    confirm    marks the file that runs as the one that stays
    back       resets a board that tests a file; or writes the older file, where no boot loader
               keeps it

Rules for each Carrier:

  1. Each method may be repeated, and be called in any state of the board: the gateway or the board
     may have lost its power at any moment. What is done already is not done again.
  2. CarrierError means that the board did not answer, or did not do what it was told: nothing is
     known of the model then, and nobody blames it. What is wrong with a file, as the board says
     itself, is a text that the method returns.
  3. A method may be cancelled, and leaves nothing running then. One that raised or was cancelled
     may have done all of its work, some of it, or none.
  4. The methods of one board are never called at the same time.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from modelwave_agent.types import Document

# Told while a file is written: the bytes that the board has, and those of the file.
Progress = Callable[[int, int], None]


class CarrierError(OSError):
    """The board does not answer, or does not do what it is told; the message says why. Trying again
    may help."""

    def __init__(self, problem: str, has_begun: bool = False) -> None:
        """`has_begun`: of `write`, whether the new file may have run meanwhile, because the board
        fell silent after it was told to run it."""
        super().__init__(problem)
        self.has_begun = has_begun


class BoardState(NamedTuple):
    """What a board says of itself."""

    runs: str  # the file that runs, as Carrier.identity names it; "": none, or an unknown one
    is_confirmed: bool  # it stays after a reset; False: it is on trial
    slot_bytes: int  # the most that the spare slot can hold
    ram_bytes: int  # the largest piece of memory that a model can get
    kernels: tuple[str, ...] | None = None  # its operators; None: all
    runtime: str = ""  # as in a manifest's needs.runtime, e.g. tflite
    runtime_version: str = ""


class Observed(NamedTuple):
    """What a board counted of the inferences of one file; the counts are as in types.COUNTS."""

    runs: str  # the file, as Carrier.identity names it
    inferences: int = 0
    failures: int = 0
    labelled: int = 0
    correct: int = 0
    reason: str = ""  # why the last of the failures failed
    latencies_ms: tuple[float, ...] = ()  # of some of the inferences, at most as many


class Carrier:
    """One model on one board. All methods but `identity` raise CarrierError."""

    proves = False  # whether `prove` can run golden sets on the board
    observes = False  # whether `observed` tells inferences; else a trial waits for none

    def identity(self, path: str, sha256: str) -> str:
        """Returns how the board names the file `path`, whose digest in hex is `sha256`. Raises
        OSError if it cannot be read, and ValueError if no such board can run it."""
        return sha256

    async def state(self) -> BoardState:
        """Asks the board what it has and runs."""
        raise NotImplementedError

    async def write(self, path: str, sha256: str, progress: Progress) -> str:
        """Brings the file `path` to the board, and makes it run on trial. An upload that was
        interrupted goes on where it stopped. Returns when the board answers again: it need not
        run this file, `state` tells which. Returns "", or why the board refuses this file: such as
        its boot loader, which found it damaged or not signed."""
        raise NotImplementedError

    async def prove(self, golden_path: str, manifest: "Document") -> str:
        """Runs the golden set of the file that runs on the board. Returns "" or what is wrong."""
        raise NotImplementedError

    async def healthy(self, seconds: float) -> str:
        """Asks the board whether it is healthy, for at most so many seconds. Returns "" or what
        is wrong with it."""
        raise NotImplementedError

    async def confirm(self) -> None:
        """Makes the file that runs stay after a reset; it is durable on return."""
        raise NotImplementedError

    async def back(self, path: str, sha256: str) -> None:
        """Makes the file `path` run, which was confirmed once, and makes it stay. If the board
        has it in its other slot it is not sent again."""
        raise NotImplementedError

    async def leave(self) -> None:
        """Ends a trial for which there is no older file on the gateway: by the boot loader the
        board returns to what it ran before. Nothing happens where that is not possible."""

    async def observed(self) -> list[Observed]:
        """Returns what the board counted since the last call. It counts each inference once."""
        return []
