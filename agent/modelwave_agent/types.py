"""The types that the agent's modules pass to each other.

This module imports no other module of the agent, so each of them can import it.
"""

from modelwave_shared.slots import slot
from modelwave_shared.words import TFLITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any, Protocol

    from modelwave_shared.fields import Document as Document

    # The journal's record of one model (record.new_record makes one). It is stored as JSON.
    Record = dict[str, Any]
    # Begins a document of the agent with a new number.
    Numbered = Callable[[], Document]
    # What a change of machine.TABLE needs besides the record: an accepted order, or a reason.
    Detail = dict[str, Any]
    # The event that follows from an effect, with its detail. None: no event follows.
    Next = tuple[str, Detail] | None
    # Awaited between the pieces of long work, so that other tasks can run.
    Breathe = Callable[[], Awaitable[None]]
    # The problem that a hook reports. None and "" mean no problem.
    HookAnswer = str | None | Awaitable[str | None]
    # Why an update may not go on now; False: no, without a reason. "", None and True: it may.
    MayAnswer = str | bool | None | Awaitable[str | bool | None]

    class Shadow(Protocol):
        """Runs the new release of one model beside the live one. No board has this port, so it is
        no class there."""

        def problem(self, budget: "Document") -> str:
            """Returns why this device cannot run a model within `budget` (orders.SHADOW in
            modelwave_shared) beside the live one now, "" if it can."""
            ...

        async def run(
            self,
            order: "AcceptedOrder",
            path: str,
            before: int,
            lasted: "Callable[[int], Awaitable[object]]",
        ) -> "tuple[str, str]":
            """Runs the model of `order` in the file `path` on a share of the live model's inputs,
            until its time is over; it has run for `before` seconds in earlier lives. Returns the
            event of machine.TABLE and its reason: `shadowed`, `unhealthy` (it crashed, hung or
            failed), `over` (it needs more than its budget), or `stuck` (this device could not run
            it). Awaits `lasted` now and then with the seconds that it has run in all. May raise
            OSError and MemoryError, which mean `stuck` too."""
            ...


class Enrolment:
    """The data that a device is enrolled with: its name, its target, and its root of trust."""

    def __init__(self, name: str, target: str, root: "Document") -> None:
        """`root`: the checked root document. It gives the fleet, and with the name the slot."""
        self.name = name
        self.target = target
        self.root = root  # a later one of the same fleet may take its place (root_walk.py)
        self.fleet: str = root["fleet"]
        self.slot = slot(self.fleet, name)

    @property
    def root_version(self) -> int:
        """The number of the root in the chain of roots."""
        version: int = self.root.get("version", 1)
        return version


class AcceptedOrder:
    """An order that has passed all checks."""

    def __init__(self, document: "Document", manifest: "Document", digest: str, floor: int) -> None:
        """`document`: the checked order. `manifest`: the checked manifest that it names.
        `digest`: sha256 of the order's payload, in hex; it identifies the order. `floor`: the
        latest signed time once it is taken."""
        self.document = document
        self.manifest = manifest
        self.digest = digest
        self.floor = floor

    @property
    def number(self) -> "tuple[int, int]":
        """(epoch, sequence): the order with the higher number is the newer one."""
        return self.document["epoch"], self.document["seq"]

    def extra(self, field: str) -> "Any":
        """Returns a field of the order's `extra`, None if it is absent."""
        return self.document.get("extra", {}).get(field)


class Refusal:
    """An authentic order that was refused: the check that it failed, the reason, the order."""

    def __init__(self, check: str, reason: str, order: "Document") -> None:
        self.check = check
        self.reason = reason
        self.order = order


class Fault:
    """What keeps the work on an order from going on now: a fault that may pass, or the program,
    which defers it."""

    def __init__(self, reason: str, tries: int, next_at: float, outcome: str) -> None:
        """`tries`: how many have failed. `next_at`: when the next one is due, by Clock.now.
        `outcome`: what the report says meanwhile, as in documents."""
        self.reason = reason
        self.tries = tries
        self.next_at = next_at
        self.outcome = outcome


class Live:
    """The model that serves, and the paths of its files."""

    def __init__(
        self,
        model: str,
        release: int,
        version: str,
        path: str,
        labels_path: "str | None",
        on_trial: bool,
        format: str = TFLITE,
        loading: "Document | None" = None,
    ) -> None:
        """`format` and `loading`: of its manifest; how the model is loaded."""
        self.model = model
        self.release = release
        self.version = version
        self.path = path
        self.labels_path = labels_path
        self.on_trial = on_trial
        self.format = format
        self.loading = loading or {}


COUNTS = ("inferences", "failures", "labelled", "correct")  # of a window
MAX_UNSENT = 8  # windows that wait for the broker


class Window:
    """What one release did in the windows with the numbers `first` to `last`; mostly it is one."""

    def __init__(self, model: str, release: int, number: int, end: float, is_late: bool) -> None:
        """`end`: seconds of the device's clock. `is_late`: it has labels of a window that was sent
        already, and nothing else."""
        self.model = model
        self.release = release
        self.first = self.last = number
        self.end = end
        self.seconds = 0.0
        self.is_late = is_late
        self.counts = [0, 0, 0, 0]  # as COUNTS
        self.measures: "Any" = None  # measures.Measures, once there are some

    def count(self, counts: "Sequence[int]") -> None:
        self.counts = [sum(pair) for pair in zip(self.counts, counts)]
